"""The experiment of re-splits: what it counts, what no judge sees, and that the promise holds in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_worlds import LARGE, make_world
from scipy import stats
from sklearn.linear_model import Ridge

from pinnace.eval.resplit import FloorFigures, Judged, Outcomes, binomial_interval, halves, resplit_floors
from pinnace.router.estimators.learner import Rows


def outcomes(n: int, seed: int = 0, **world: float) -> Outcomes:
    """A made-up world as an outcome table."""
    made = make_world(n, seed, **world)
    kinds = np.zeros(n, dtype=np.int64)
    return Outcomes(Rows(made.features, made.scores, kinds, np.arange(n), 4), made.usd, LARGE)


def held_out(known: Outcomes, unknown: Outcomes, seed: int) -> tuple[Judged, Judged]:
    """Ridge heads of two folds: each judges the other's rows, and a request is served by one at random."""
    rng = np.random.default_rng(seed)
    folds = rng.permutation(np.arange(len(known.costs)) % 2)
    heads = [Ridge().fit(known.rows.features[folds != f], known.rows.scores[folds != f]) for f in (0, 1)]

    def judge(asked: Outcomes, by: Any) -> Judged:
        first, second = (head.predict(asked.rows.features) for head in heads)
        return Judged(np.where(by[:, None] == 0, first, second), asked.costs)

    return judge(known, folds), judge(unknown, rng.integers(0, 2, len(unknown.costs)))


def on_training(known: Outcomes, unknown: Outcomes, seed: int) -> tuple[Judged, Judged]:
    """What must not be done: a nearest neighbour judges the rows that it has learnt by heart."""

    def judge(asked: Outcomes) -> Judged:
        distances = ((asked.rows.features[:, None] - known.rows.features[None]) ** 2).sum(axis=2)
        return Judged(known.rows.scores[distances.argmin(axis=1)], asked.costs)

    return judge(known), judge(unknown)


def missed(figures: FloorFigures) -> int:
    return round(figures.missed * figures.splits)


def test_on_smooth_rows_the_floor_is_kept_and_saves() -> None:
    low, high = resplit_floors(outcomes(1_200, gap=0.1), held_out, keeps=(0.9, 0.95), splits=20, seed=1)
    for figures in (low, high):
        assert stats.binomtest(missed(figures), 20, 0.05, alternative="greater").pvalue > 0.05
        assert figures.holds(0.95)
        assert figures.kept > figures.keep
        assert figures.refused == 0
        assert 0 < figures.saved_low <= figures.saved <= figures.saved_high < 1
    assert high.saved < low.saved


def test_a_judge_that_knows_its_calibration_rows_is_found_out() -> None:
    (figures,) = resplit_floors(outcomes(400), on_training, keeps=(0.95,), splits=10)
    assert missed(figures) == 10
    assert not figures.holds(0.95)


def test_too_few_rows_are_refused_every_time_and_then_nothing_is_missed_or_saved() -> None:
    (figures,) = resplit_floors(outcomes(100), held_out, keeps=(0.99,), splits=10)
    assert (figures.refused, figures.missed, figures.saved, figures.kept) == (1, 0, 0, 1)
    assert (figures.missed_low, figures.missed_high) == binomial_interval(0, 10)


def test_less_confidence_misses_more_and_saves_more() -> None:
    table = outcomes(600)
    (sure,) = resplit_floors(table, held_out, keeps=(0.9,), splits=20, confidence=0.95)
    (unsure,) = resplit_floors(table, held_out, keeps=(0.9,), splits=20, confidence=0.5)
    assert unsure.saved > sure.saved
    assert unsure.missed > sure.missed


def test_the_same_seed_gives_the_same_figures_and_another_seed_others() -> None:
    table = outcomes(200)

    def run(seed: int) -> Any:
        return resplit_floors(table, held_out, splits=4, seed=seed, keeps=(0.8,))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_rows_limit_what_is_calibrated_on_and_not_what_is_tested_on() -> None:
    seen: list[tuple[int, int]] = []

    def watched(known: Outcomes, unknown: Outcomes, seed: int) -> tuple[Judged, Judged]:
        seen.append((len(known.costs), len(unknown.costs)))
        return held_out(known, unknown, seed)

    done: list[None] = []
    resplit_floors(outcomes(200), watched, splits=3, rows=30, on_done=lambda: done.append(None))
    assert seen == [(30, 100)] * 3
    assert len(done) == 3


@given(st.lists(st.integers(0, 30), min_size=2, max_size=80), st.integers(0, 99))
def test_halves_share_no_prompt_and_lose_no_row(names: list[int], seed: int) -> None:
    groups = np.array(names)
    first, second = halves(groups, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(groups)))
    assert not set(groups[first]) & set(groups[second])
    assert 0 <= len(set(groups[first])) - len(set(groups[second])) <= 1


@pytest.mark.parametrize(("count", "of"), [(0, 200), (3, 200), (10, 20), (20, 20)])
def test_the_binomial_interval_is_the_exact_one(count: int, of: int) -> None:
    expected = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
    assert binomial_interval(count, of) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: resplit_floors(outcomes(19), held_out), "got 19 and None"),
        (lambda: resplit_floors(outcomes(40), held_out, rows=9), "got 40 and 9"),
    ],
)
def test_too_few_rows_for_a_split_are_refused(run: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()
