"""Rows to grow from: what they may hold, how they are parted, and which domains they make."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import ConfigError, TrainingRowsError
from pinnace.eval.grow.answers import rule_of, told
from pinnace.eval.grow.budget import MOST_TOKENS, batch_for, counted_tokens, epochs_for
from pinnace.eval.grow.domains import Placed, check_names, found_domains, named_domains, slug
from pinnace.eval.grow.examples import Taught, checked_examples, read_examples
from pinnace.eval.grow.splits import MIN_EXAMPLES, split_rows
from pinnace.models.training.row_tokens import TokenRow
from pinnace.models.training.rows import TrainingRow


def taught(n: int, answer: str = "a", start: int = 0) -> list[Taught]:
    return [Taught(TrainingRow(f"question {i}", answer)) for i in range(start, start + n)]


def test_a_row_may_say_what_is_right_and_where_it_belongs(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "answer": "a", "expected": "b", "domain": "d"}, {"prompt": "q", "answer": "c"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = read_examples(tmp_path / "rows.jsonl").kept
    assert (first.gold, first.domain, second.gold, second.domain) == ("b", "d", "c", None)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "p", "answer": "a", "expected": 3}, "unknown fields: expected"),
        ({"prompt": "p", "answer": "a", "domain": ""}, "unknown fields: domain"),
        ({"prompt": "p", "answer": "a", "colour": "red"}, "unknown fields: colour"),
        ({"prompt": "x" * 40_000, "answer": "a"}, "prompt: huge"),
        ({"prompt": "a\x00b", "answer": "a"}, "prompt: binary"),
        ({"prompt": "<|im_start|>system", "answer": "a"}, "prompt: spells the control token"),
        ({"prompt": "p", "answer": " "}, "answer: empty"),
        ("p", "expected an object"),
    ],
)
def test_a_poisoned_row_is_refused_by_its_number(row: object, why: str) -> None:
    found = checked_examples([*({"prompt": f"{i}", "answer": "a"} for i in range(30)), row])
    assert [each.number for each in found.refused] == [31]
    assert why in found.refused[0].why
    assert len(found.kept) == 30


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingRowsError, match=r"none\.jsonl: rows not readable"):
        read_examples(tmp_path / "none.jsonl")


@given(st.integers(MIN_EXAMPLES, 900), st.integers(0, 3))
def test_no_request_is_on_two_sides(n: int, seed: int) -> None:
    split = split_rows([*taught(n), *taught(20)], seed=seed)
    sides = [{each.id for each in side} for side in (split.train, split.calibration, split.held)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == n
    assert len(split.calibration) == max(100, round(0.15 * n))
    assert len(split.train) + len(split.calibration) + len(split.held) <= n + 20


def test_the_holdout_is_neither_trained_on_nor_calibrated_on() -> None:
    rows, holdout = taught(400), taught(150, start=300)
    split = split_rows(rows, holdout)
    measured = {each.id for each in holdout}
    assert not measured & {each.id for each in (*split.train, *split.calibration)}
    assert split.held == tuple(holdout)
    assert len(split.train) + len(split.calibration) == 300


def test_the_sides_of_a_row_do_not_depend_on_the_others() -> None:
    few, more = split_rows(taught(300), []), split_rows(taught(310), [])
    moved = {each.id for each in few.calibration} - {each.id for each in more.calibration}
    assert len(moved) <= 10


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TrainingRowsError, match="x: expected at least 200 different prompts, got 199"):
        split_rows([*taught(199), *taught(50)], where="x: ")


def test_epochs_follow_from_tokens() -> None:
    assert [epochs_for(tokens) for tokens in (1, 100_000, 425_000, 600_000, 9_000_000)] == [5, 5, 2, 1, 1]
    assert (batch_for(700), batch_for(8_500)) == (16, 32)
    rows = [TokenRow((*range(30), i), (1, 2)) for i in range(10)]
    assert counted_tokens(rows) == 330
    long = [TokenRow((*range(440), i), (1, 2)) for i in range(10)]
    assert counted_tokens(long) == 10 * (443 - 360)
    assert MOST_TOKENS == 1_000_000


@pytest.mark.parametrize(
    ("gold", "rule"),
    [
        *(("42", "number"), ("-1,200.50", "number"), ("$3.10", "number"), ("banking", "exact")),
        *(('{"a": 1}', "json"), ("[1]", "json"), ("{broken", "exact"), ("2 pm", "exact")),
    ],
)
def test_an_answer_is_scored_by_what_it_looks_like(gold: str, rule: str) -> None:
    assert rule_of(gold) == rule


def test_calls_are_compared_as_calls() -> None:
    call = '<tool_call>\n{"name": "get", "arguments": {"a": 1}}\n</tool_call>'
    assert json.loads(told(call)) == [{"name": "get", "arguments": {"a": 1}}]
    assert json.loads(told(call + "\n" + call))[1]["name"] == "get"
    assert told("no call") == "no call"
    assert rule_of(told(call)) == "json"


def test_rows_name_their_domains() -> None:
    rows = [*taught(3), Taught(TrainingRow("x", "a"), domain="Card Questions!")]
    assert [(each.name, len(each.rows)) for each in named_domains(rows, "rest")] == [
        ("rest", 3),
        ("card-questions", 1),
    ]
    assert slug("???") == "grown"


def test_names_of_others_are_not_taken() -> None:
    domains = named_domains(taught(3), "large")
    with pytest.raises(ConfigError, match="expected names of their own, got large; give another --name"):
        check_names(domains, {"large"})


def placed(cluster: int, n: int, answer: str, *, is_teachers: bool = True, start: int = 0) -> list[Placed]:
    return [Placed(cluster, is_teachers, each) for each in taught(n, answer, start)]


def test_domains_are_clusters_where_the_teacher_answers_most() -> None:
    served = [
        *placed(0, 250, "blue"),
        *placed(1, 150, "red", start=1000),
        *placed(2, 260, "green", is_teachers=False, start=2000),
    ]
    found = found_domains(served, ["sky, high", "few, rows", "grass, low"])
    assert [(each.name, len(each.rows), each.clusters) for each in found] == [
        ("sky-high", 250, ("sky, high",))
    ]


def test_clusters_that_are_answered_alike_are_one_domain() -> None:
    served = [*placed(0, 150, "blue"), *placed(1, 120, "blue", start=1000), *placed(2, 130, "no", start=2000)]
    (found,) = found_domains(served, ["a, b", "c", "d"])
    assert (len(found.rows), found.clusters) == (270, ("a, b", "c"))
