"""The experiment of re-splits: what it counts, what no estimator sees, and that the promise holds in it."""

from typing import Any

import numpy as np
import pytest
from router_worlds import LARGE, make_world
from scipy import stats
from sklearn.linear_model import Ridge

from pinnace.eval.resplit import Outcomes, Serving, binomial_interval, resplit_floors
from pinnace.router.types import FloatArray

SERVINGS: tuple[Serving, ...] = ("folds", "held_out", "refit")


def outcomes(n: int, seed: int = 0, **world: float) -> Outcomes:
    """A made-up world as an outcome table."""
    made = make_world(n, seed, **world)
    return Outcomes(made.features, made.scores, made.usd, LARGE)


class Watched:
    """An estimator of the means that remembers which rows it has seen: the features are row numbers."""

    def fit(self, features: FloatArray, scores: FloatArray) -> "Watched":
        self.seen_ = set(features[:, 0])
        self.means_ = scores.mean(axis=0)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        assert self.seen_.isdisjoint(features[:, 0]), "a row is estimated by what was fitted on it"
        return np.tile(self.means_, (len(features), 1))


@pytest.mark.parametrize("serving", SERVINGS)
def test_no_row_is_estimated_by_what_was_fitted_on_it(serving: Serving) -> None:
    table = outcomes(120)
    numbered = Outcomes(np.arange(120.0)[:, None], table.scores, table.costs, LARGE)
    (figures,) = resplit_floors(numbered, Watched, keeps=(0.5,), splits=3, serving=serving)
    assert figures.splits == 3


@pytest.mark.parametrize("serving", SERVINGS)
def test_on_smooth_rows_the_floor_is_kept_and_saves(serving: Serving) -> None:
    low, high = resplit_floors(
        outcomes(1_600, gap=0.1), Ridge, keeps=(0.9, 0.95), splits=40, serving=serving, seed=1
    )
    for figures in (low, high):
        missed = round(figures.missed * 40)
        assert stats.binomtest(missed, 40, 0.05, alternative="greater").pvalue > 0.05
        assert figures.kept > figures.keep
        assert figures.refused == 0
        assert 0 < figures.saved_low <= figures.saved <= figures.saved_high < 1
    assert high.saved < low.saved


def test_too_few_rows_are_refused_every_time_and_then_nothing_is_missed_or_saved() -> None:
    (figures,) = resplit_floors(outcomes(100), Ridge, keeps=(0.99,), splits=10)
    assert (figures.refused, figures.missed, figures.saved, figures.kept) == (1, 0, 0, 1)
    assert (figures.missed_low, figures.missed_high) == binomial_interval(0, 10)


def test_less_confidence_misses_more_and_saves_more() -> None:
    table = outcomes(600)
    (sure,) = resplit_floors(table, Ridge, keeps=(0.95,), splits=60, confidence=0.95)
    (unsure,) = resplit_floors(table, Ridge, keeps=(0.95,), splits=60, confidence=0.5)
    assert unsure.saved > sure.saved
    assert unsure.missed > sure.missed


def test_the_same_seed_gives_the_same_figures_and_another_seed_others() -> None:
    table = outcomes(300)

    def run(seed: int) -> Any:
        return resplit_floors(table, Ridge, splits=4, seed=seed, keeps=(0.8,))

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize(("count", "of"), [(0, 200), (3, 200), (10, 20), (20, 20)])
def test_the_binomial_interval_is_the_exact_one(count: int, of: int) -> None:
    expected = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
    assert binomial_interval(count, of) == pytest.approx((expected.low, expected.high))


def test_a_table_without_rows_enough_for_the_folds_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 20 rows, got 19"):
        resplit_floors(outcomes(19), Ridge)
