"""The draws of every metric against the plain functions of one draw."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from replay_worlds import recorded_of, world

from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.curve import hull_area, hull_areas, upper_hull
from pinnace.eval.methods import METHODS, Settings
from pinnace.eval.pair_metrics import apgr, cpt, pgr, share_curve
from pinnace.eval.recorded_rows import Part, Split, hash_split
from pinnace.eval.replay import _Test
from pinnace.eval.replay_metrics import NORMALISATION, metric_draws
from pinnace.eval.routing_metrics import (
    accuracy,
    aiq,
    arena_score,
    audc,
    best_single,
    gain_over_best_single,
    gap_to_oracle,
    mean_cost,
    qnc,
    routing_accuracy,
)
from pinnace.eval.table import FloatArray

GRID = np.linspace(0.0, 1.0, 3)


def plain(split: Split, settings: Settings, rows: np.ndarray) -> dict[str, float]:
    """Every metric of these test rows (repeated as they come) by the functions of one draw."""
    scores, costs = split.test.scores[rows], split.test.costs[rows]
    chosen = settings.chosen[:, rows]
    means = split.train.costs.mean(axis=0)
    cheapest = np.full((1, len(rows)), int(np.argmin(means)))
    points = np.vstack([chosen, cheapest]) if np.ptp(means) > 1e-12 else chosen[:1]
    x = np.array([mean_cost(one, costs) for one in points])
    y = np.array([accuracy(one, scores) for one in points])
    low, high = float(costs.mean(axis=0).min()), float(costs.mean(axis=0).max())
    quality = accuracy(chosen[0], scores)
    found = {
        "area": 100 * hull_area(x, y, low, high),
        "small_accuracy": 100 * accuracy(settings.small[rows], scores),
        "accuracy": 100 * quality,
        "cost_usd_per_1k": 1_000 * mean_cost(chosen[0], costs),
        "gain_over_best_single": 100 * gain_over_best_single(chosen[0], scores),
        "gap_to_oracle": gap_to_oracle(chosen[0], scores),
        "routing_accuracy": routing_accuracy(chosen[0], scores, costs),
        "arena_score": arena_score(quality, 1_000 * mean_cost(chosen[0], costs)),
        "audc": 100 * audc(x, y, low, high),
        "qnc": qnc(x, y, best_single(scores), low, high),
        "aiq_by_largest": 100 * aiq(x, y, low, high).by_largest if high > 0 else np.nan,
    }
    if split.large is not None:
        weak = int(split.small[int(np.argmax(split.train.scores.mean(axis=0)[split.small]))])
        pair = scores[:, weak], scores[:, split.large]
        found["pgr"] = pgr(quality, float(pair[0].mean()), float(pair[1].mean()))
        if settings.need is not None:
            curve = share_curve(*pair, settings.need[rows])
            found |= {"apgr": apgr(curve), "cpt50": cpt(curve, 50), "cpt80": cpt(curve, 80)}
    return found


def drawn(split: Split, settings: Settings, weights: FloatArray) -> dict[str, FloatArray]:
    figures, _ = _Test(split, weights.astype(np.float32)).measure(settings, GRID)
    return figures


def check(split: Split, settings: Settings, draws: int = 3) -> None:
    n = len(split.test.rows)
    weights = np.vstack([np.ones(n), draw_weights(n, draws, seed=1)])
    figures = drawn(split, settings, weights)
    for position, weight in enumerate(weights):
        expected = plain(split, settings, np.repeat(np.arange(n), weight.astype(int)))
        assert set(expected) == set(figures)
        for name, value in expected.items():
            assert figures[name][position] == pytest.approx(value, abs=1e-9, nan_ok=True), (name, position)


@pytest.fixture(scope="module")
def split() -> Split:
    return hash_split(recorded_of(world()), 0)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("pinnace", "cre")])
def test_draws_agree_with_the_functions_of_one_draw(name: str, split: Split) -> None:
    check(split, METHODS[name].settle(split))


def test_draws_agree_where_scores_are_parts_and_ties_are_many(split: Split) -> None:
    """Fractions of a third add up to other last digits in another order: a best single that is only as good
    as itself must still reach itself."""
    random = np.random.default_rng(0)
    scores = random.integers(0, 4, split.test.scores.shape) / 3
    thirds = replace(split, test=replace(split.test, scores=scores))
    blind = METHODS["content_blind"].settle(thirds)
    check(thirds, blind)
    assert np.isfinite(drawn(thirds, blind, np.ones((1, len(scores))))["qnc"]).all()


def test_draws_agree_where_settings_share_one_cost(split: Split) -> None:
    """Prices per request that are the same on every row: many settings have exactly one mean cost."""
    parts = [
        replace(p, costs=np.tile([1.0, 1.0, 2.0, 8.0], (len(p.rows), 1))) for p in (split.train, split.test)
    ]
    priced = Split(parts[0], parts[1], split.small, split.large, 0)
    for name in ("content_blind", "knn40", "random", "oracle"):
        check(priced, METHODS[name].settle(priced))


@pytest.mark.parametrize("cost", [0.0, 1.0, 0.003])
def test_draws_agree_where_all_models_cost_the_same(cost: float, split: Split) -> None:
    parts = [replace(p, costs=np.full_like(p.costs, cost)) for p in (split.train, split.test)]
    level = Split(parts[0], parts[1], split.small, split.large, 0)
    for name in ("knn40", "avengers_pro", "content_blind", "random", "best_single", "oracle"):
        settings = METHODS[name].settle(level)
        check(level, settings)
        figures = drawn(level, settings, np.ones((1, len(level.test.rows))))
        assert figures["area"][0] == pytest.approx(figures["accuracy"][0]), name


def test_what_is_not_defined_is_not_a_number(split: Split) -> None:
    wrong = replace(split, test=replace(split.test, scores=np.zeros_like(split.test.scores)))
    figures = drawn(wrong, METHODS["knn40"].settle(wrong), np.ones((2, len(wrong.test.rows))))
    for name in ("gap_to_oracle", "routing_accuracy", "pgr", "apgr", "cpt50", "cpt80"):
        assert np.isnan(figures[name]).all(), name
    assert (figures["area"] == 0).all()


def test_every_metric_says_its_normalisation(split: Split) -> None:
    figures = drawn(split, METHODS["knn40"].settle(split), np.ones((1, len(split.test.rows))))
    assert set(figures) == set(NORMALISATION)


@st.composite
def curves(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Mean costs and qualities of a few settings, many of them at one cost, two draws of each."""
    count = draw(st.integers(1, 6))
    costs = st.lists(st.integers(0, 6), min_size=count, max_size=count)
    marks = st.lists(st.integers(0, 8), min_size=count, max_size=count)
    x = np.array([draw(costs), draw(costs)], dtype=np.float64)
    return x, np.array([draw(marks), draw(marks)], dtype=np.float64) / 8


@profile(max_examples=60)
@given(curves(), st.integers(0, 4), st.integers(0, 4))
def test_curve_metrics_agree_with_the_functions_of_one_curve(
    points: tuple[FloatArray, FloatArray], first: int, width: int
) -> None:
    """Also for settings beyond the cheapest and the dearest model, which mixtures per row reach."""
    costs, qualities = points
    low, high = np.full(2, float(first)), np.full(2, float(first + width))
    split, settings = tiny_split()
    figures = metric_draws(split, settings, np.ones((2, 4), dtype=np.float32), costs, qualities, low, high)
    best = 0.5  # of the tiny split's models
    for at in range(2):
        reach = float(low[at]), float(high[at])
        assert figures["audc"][at] == pytest.approx(100 * audc(costs[at], qualities[at], *reach))
        expected = qnc(costs[at], qualities[at], best, *reach)
        assert figures["qnc"][at] == pytest.approx(expected, nan_ok=True)
        if high[at] > 0:
            by_largest = 100 * aiq(costs[at], qualities[at], *reach).by_largest
            assert figures["aiq_by_largest"][at] == pytest.approx(by_largest)


@profile(max_examples=60)
@given(curves(), st.integers(0, 4), st.integers(0, 4))
def test_hulls_rise_and_one_more_setting_never_hurts(
    points: tuple[FloatArray, FloatArray], first: int, width: int
) -> None:
    costs, qualities = points
    for x, y in zip(costs, qualities, strict=True):
        corners, heights = upper_hull(x, y)
        assert (np.diff(corners) > 0).all()
        assert (np.diff(heights) > 0).all()
    low, high = np.full(2, float(first)), np.full(2, float(first + width))
    anchored = [np.hstack([np.full((2, 1), value), of]) for value, of in ((0.0, costs), (0.0, qualities))]
    less = hull_areas(anchored[0][:, :-1], anchored[1][:, :-1], low, high)
    assert (hull_areas(anchored[0], anchored[1], low, high) >= less - 1e-12).all()


@cache
def tiny_split() -> tuple[Split, Settings]:
    """Four rows of two models that are each right on half of them."""
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    seen = recorded_of(world()).seen.take(np.arange(4))
    part = Part(np.arange(4), seen, scores, np.ones((4, 2)), ("",) * 4, ("",) * 4)
    return Split(part, part, np.arange(2), None, 0), Settings(
        np.zeros((1, 4), dtype=np.int64), np.zeros(4, int)
    )
