"""Summaries of tables: every figure against one worked by hand, and against numpy."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pinnace.eval.leaks import duplicates_of, leaks_of, near_form, same_form
from pinnace.eval.summary import Pair, correlation_matrix, summarise_table
from pinnace.eval.table import OutcomeTable, table_of
from pinnace.eval.table_file import read_table

OUTCOMES = Path(__file__).parents[2] / "shared" / "data" / "outcomes"
SCORES = {"small": [1, 0, 1, 0, None], "mid": [1, 0, 0, 1, None], "large": [1, 1, 1, None, None]}


def table(**changed: list[object]) -> OutcomeTable:
    rows = 5
    columns: dict[str, list[object]] = {
        "id": [f"r{row}" for row in range(rows)],
        "task": ["sums", "sums", "talk", "sums", "talk"],
        "prompt": ["one", "two", "three", "four", "five"],
    }
    columns |= {f"score:{model}": list(scores) for model, scores in SCORES.items()}
    columns |= {name.replace("__", ":"): values for name, values in changed.items()}
    return table_of(columns, "made")


def test_figures_by_hand() -> None:
    found = summarise_table(table())
    assert (found.rows, found.unscored_rows, found.compared_rows) == (5, 1, 3)
    assert found.tasks == {"sums": 3, "talk": 2}
    assert found.splits is None
    assert [(m.model, m.rows, m.mean_score, m.mean_cost) for m in found.models] == [
        ("small", 4, 0.5, None), ("mid", 4, 0.5, None), ("large", 3, 1.0, None),
    ]  # fmt: skip
    assert found.oracle == 1.0
    assert (found.best_single.model, found.best_single.mean_score) == ("large", 1.0)
    assert found.distinct_winner_share == pytest.approx(1 / 3)  # only the second row has one


def test_without_costs_the_first_model_is_cheapest_and_it_says_so() -> None:
    found = summarise_table(table()).cheapest
    assert (found.model, found.by, found.mean_cost, found.cost_rows) == ("small", "order", None, 0)
    assert found.mean_score == pytest.approx(2 / 3)


def test_the_cheapest_is_so_on_rows_where_all_costs_are_known() -> None:
    costs = {"cost__mid": [9.0, 1.0, 1.0, None, None], "cost__large": [None, 2.0, 4.0, 0.0, 0.0]}
    found = summarise_table(table(**costs)).cheapest
    assert (found.model, found.by, found.mean_cost, found.cost_rows) == ("mid", "cost", 1.0, 2)


def test_costs_that_share_no_row_are_compared_each_on_its_own() -> None:
    costs = {"cost__small": [4.0, 2.0, None, None, None], "cost__mid": [None, None, 2.0, None, None]}
    found = summarise_table(table(**costs)).cheapest
    assert (found.model, found.by, found.mean_cost, found.cost_rows) == ("mid", "own_cost", 2.0, 0)


def test_rows_that_any_model_ran_are_compared_where_none_was_run_by_all() -> None:
    found = summarise_table(table(score__large=[None] * 4 + [1]))
    assert found.compared_rows == 5
    assert found.oracle == pytest.approx(4 / 5)


def test_correlations_by_hand() -> None:
    found = summarise_table(table()).correlations
    assert found.matrix[0][1] == pytest.approx(0.0)
    assert found.matrix[2] == (None, None, None)  # the large model is right wherever it was run
    assert found.mean == pytest.approx(0.0)
    assert found.most == found.least == Pair(("small", "mid"), pytest.approx(0.0))


def test_one_model_that_was_never_run_has_no_figures() -> None:
    columns = {"id": ["a"], "task": ["t"], "prompt": ["x"], "score:m": [None]}
    found = summarise_table(table_of(columns, "made"))
    assert (found.oracle, found.best_single, found.distinct_winner_share) == (None, None, None)
    assert (found.cheapest.model, found.cheapest.mean_score) == ("m", None)
    assert (found.correlations.mean, found.correlations.most) == (None, None)
    json.dumps(asdict(found), allow_nan=False)


def test_a_table_without_rows_has_a_summary() -> None:
    found = summarise_table(table_of({"id": [], "task": [], "prompt": [], "score:m": []}, "made"))
    assert (found.rows, found.oracle, found.duplicates.exact) == (0, None, 0)


SPLIT = ["train", "test", "test", "train", "test"]


def test_test_prompts_that_are_in_train_are_leaks() -> None:
    found = leaks_of(
        table(split=SPLIT, prompt=["What  is\nice?", "what is ice?", "What is ice (2)", "x", "y"])
    )
    assert found is not None
    assert (found.test_rows, found.train_rows, found.exact, found.near) == (3, 2, 1, 1)
    assert found.examples == (("r1", "r0"), ("r2", "r0"))


def test_fit_and_held_rows_are_train_and_test() -> None:
    found = leaks_of(table(split=["fit", "held", "other", "fit", "held"], prompt=["a", "a", "a", "b", "c"]))
    assert found is not None
    assert (found.test_rows, found.exact) == (2, 1)


@pytest.mark.parametrize("split", [None, ["test"] * 5, [""] * 5], ids=["none", "test", "empty"])
def test_without_both_splits_nothing_is_said_of_leaks(split: list[object] | None) -> None:
    assert leaks_of(table() if split is None else table(split=split)) is None


def test_prompts_of_digits_alone_are_not_nearly_the_same() -> None:
    assert duplicates_of(table(prompt=["1 + 1", "2 + 3", "7", "8.", "9"])).near == 0


def test_duplicates_are_counted_once_for_every_later_row() -> None:
    found = duplicates_of(table(prompt=["Hi", "hi", "HI ", "hi!", "ho"]))
    assert (found.exact, found.near) == (2, 1)
    assert found.examples == (("r1", "r0"), ("r2", "r0"), ("r3", "r0"))


@given(prompt=st.text(max_size=40))
def test_forms_even_out_white_space_and_the_near_one_marks_as_well(prompt: str) -> None:
    spaced = f"  {prompt}\n"
    assert same_form(spaced) == same_form(prompt)
    assert near_form(spaced + "!? 12") == near_form(prompt)


scores = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 0.25, 1.0, math.nan]),
)


@given(values=scores)
def test_correlations_are_those_of_numpy_on_the_shared_rows(values: np.ndarray) -> None:
    found = correlation_matrix(values)
    for i in range(values.shape[1]):
        for j in range(values.shape[1]):
            both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
            one, other = values[both, i], values[both, j]
            if both.sum() < 2 or len(set(one)) < 2 or len(set(other)) < 2:
                assert np.isnan(found[i, j])
            else:
                assert found[i, j] == pytest.approx(np.corrcoef(one, other)[0, 1])


@given(values=scores)
def test_no_model_is_above_the_oracle_and_their_order_does_not_matter(values: np.ndarray) -> None:
    rows, models = values.shape
    columns = {"id": [str(row) for row in range(rows)], "task": ["t"] * rows, "prompt": ["p"] * rows}
    named = {f"score:m{column}": values[:, column].tolist() for column in range(models)}
    found = summarise_table(table_of(columns | named, "drawn"))
    turned = summarise_table(table_of(columns | dict(reversed(named.items())), "drawn"))
    if found.best_single is not None and not np.isnan(values).any():
        assert found.best_single.mean_score <= found.oracle + 1e-12
    assert (turned.oracle, turned.compared_rows) == (found.oracle, found.compared_rows)
    assert turned.distinct_winner_share == found.distinct_winner_share
    json.dumps(asdict(found), allow_nan=False)


@pytest.mark.skipif(not OUTCOMES.is_dir(), reason="the development data is not beside this checkout")
def test_the_published_leak_is_found() -> None:
    found = summarise_table(read_table(OUTCOMES / "llmrouter_uiuc.parquet"))
    assert found.leaks is not None
    assert (found.leaks.exact, found.leaks.test_rows, found.leaks.train_rows) == (119, 500, 5608)
    assert (found.rows, found.compared_rows, found.unscored_rows) == (6108, 6108, 0)
