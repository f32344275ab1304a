"""Coverage at an accuracy: worked out by hand, and as a property of every draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.coverage import coverage_at, coverage_at_draws

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
RIGHT = np.array([1.0, 0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(("accuracy", "coverage"), [(0.95, 0.2), (0.75, 0.8), (0.6, 1.0), (0.0, 1.0)])
def test_coverage_is_that_worked_out_by_hand(accuracy: float, coverage: float) -> None:
    assert coverage_at(CONFIDENCE, RIGHT, accuracy) == pytest.approx(coverage)


def test_nothing_passes_where_the_surest_is_wrong() -> None:
    assert coverage_at(CONFIDENCE, 1 - RIGHT, 0.95) == 0


def test_equal_confidence_passes_all_or_none() -> None:
    assert coverage_at(np.full(5, 0.5), RIGHT, 0.6) == 1
    assert coverage_at(np.full(5, 0.5), RIGHT, 0.61) == 0


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_a_draw_is_the_metric_of_its_rows(seed: int, accuracy: float) -> None:
    random = np.random.default_rng(seed)
    confidence, right = random.integers(0, 9, 30) / 8, random.integers(0, 2, 30).astype(float)
    weights = draw_weights(30, 3, seed)
    found = coverage_at_draws(confidence, right, weights, accuracy)
    repeats = [np.repeat(np.arange(30), draw.astype(int)) for draw in weights]
    assert found == pytest.approx([coverage_at(confidence[rows], right[rows], accuracy) for rows in repeats])


def test_a_gap_is_refused() -> None:
    with pytest.raises(TableError, match="right: row 2: expected a number"):
        coverage_at(CONFIDENCE, np.array([1.0, np.nan, 0.0, 0.0, 0.0]), 0.9)
