"""Recorded outcomes of a large model, matched to our examples by the words of their questions."""

from pathlib import Path

import numpy as np
import pytest

from pinnace.eval.example import Example
from pinnace.eval.join import join_tables
from pinnace.eval.recorded import question_of, recorded_outcomes
from pinnace.eval.suites import read_suite
from pinnace.eval.table import table_of
from pinnace.eval.table_file import read_table

SHARED = Path(__file__).parents[2] / "shared" / "data"


def example(name, question, prompt, rule, expected, choices=()):
    return Example(name, "hand", prompt, expected, rule, choices, 48, "fit", question)


BOATS = example(
    "boats", "What floats?", "What floats? A. ...", "choice", "B", ("a stone", "a cork", "a nail")
)
_PENS = "Ann has 3 pens and buys 4. How many has she?"
PENS = example("pens", _PENS, _PENS, "number", "7")
FEW_SHOT = (
    "What sinks?\nA) a stone\nB) a cork\nPrint only a single choice without explanation.\nAnswer:\nA\n\n"
    "What floats?\nA) a cork\nB) a nail\nC) a stone\nPrint only a single choice without explanation.\nAnswer:"
)


def recorded(prompts, **changed):
    n = len(prompts)
    named = {"id": [f"r/{i}" for i in range(n)], "task": [""] * n, "prompt": prompts}
    return table_of(named | {name.replace("__", ":"): values for name, values in changed.items()}, "recorded")


@pytest.mark.parametrize(
    ("prompt", "question", "choices"),
    [
        ("How many?", "How many?", ()),
        ("What is left?\nA. port\nB. bow\nAnswer:", "What is left?", ("port", "bow")),
        (FEW_SHOT, "What floats?", ("a cork", "a nail", "a stone")),
    ],
)
def test_the_last_question_and_its_options_are_read(prompt, question, choices):
    assert question_of(prompt) == (question, choices)


def test_rows_are_matched_by_question_and_options_in_any_order():
    one = recorded([FEW_SHOT], score__big=[1.0], cost__big=[0.25])
    two = recorded([PENS.prompt.upper(), "Never asked?"], score__big=[0.0, 1.0], score__mid=[1.0, 1.0])
    found = recorded_outcomes([one, two], [PENS, BOATS], ["big", "mid"])
    assert found.ids == (PENS.id, BOATS.id)
    assert found.prompts == (PENS.prompt, BOATS.prompt)
    np.testing.assert_equal(found.scores, [[0.0, 1.0], [1.0, np.nan]])
    np.testing.assert_equal(found.costs, [[np.nan, np.nan], [0.25, np.nan]])


def test_other_options_make_another_question():
    other = "What floats?\nA) a cork\nB) a nail\nC) a ship\nAnswer:"
    assert len(recorded_outcomes([recorded([other], score__big=[1.0])], [BOATS], ["big"])) == 0
    assert len(recorded_outcomes([recorded(["What floats?"], score__big=[1.0])], [BOATS], ["big"])) == 0


def test_of_two_rows_of_one_question_the_first_that_was_run_counts():
    twice = recorded([PENS.prompt, PENS.prompt + " "], score__big=[None, 1.0], cost__big=[9.0, 0.5])
    again = recorded([PENS.prompt], score__big=[0.0])
    found = recorded_outcomes([twice, again], [PENS], ["big"])
    assert (found.scores.item(), found.costs.item()) == (1.0, 0.5)
    unrun = recorded([PENS.prompt], score__big=[None])
    assert len(recorded_outcomes([unrun], [PENS], ["big"])) == 0


def test_it_joins_with_a_live_table():
    live = table_of(
        {"id": [PENS.id], "task": [PENS.task], "prompt": [PENS.prompt], "score:small": [0.0]}, "live"
    )
    joined = join_tables(
        [live, recorded_outcomes([recorded([PENS.prompt], score__big=[1.0])], [PENS], ["big"])]
    )
    assert joined.models == ("small", "big")
    np.testing.assert_equal(joined.scores, [[0.0, 1.0]])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data is not beside this checkout")
def test_most_of_the_published_rows_match():
    tables = [
        read_table(SHARED / "outcomes" / f"{name}.parquet") for name in ("routellm", "routerbench_subset")
    ]
    expected = {"gsm8k": 1319, "arc_challenge": 1470, "mmlu": 3986, "mt_bench": 80, "arc_open": 0}
    examples = [example for name in expected for example in read_suite(name, SHARED / "tasks")]
    found = recorded_outcomes(tables, examples, ["gpt-4-1106-preview"])
    assert {name: found.tasks.count(name) for name in expected} == expected
