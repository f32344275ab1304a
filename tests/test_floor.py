"""The quality floor: kept as often as promised, certified step by step, and refused on too few rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from router_worlds import LARGE, World, make_world
from scipy import stats

from pinnace.router.floor import (
    ALWAYS_LARGE,
    LOST_ROWS,
    Floor,
    FloorRefused,
    excess_bounds,
    quality_floor,
    rows_needed,
)
from pinnace.router.rate_table import RateTable, choose
from pinnace.router.types import FloatArray

seeds = st.integers(0, 10_000)
keeps = st.sampled_from([0.8, 0.9, 0.95, 0.99])


def is_missed(floor: Floor | FloorRefused, world: World, keep: float) -> bool:
    chosen = choose(world.quality, world.usd, LARGE, floor.rule)
    kept = world.scores[np.arange(len(chosen)), chosen].sum()
    return bool(kept < keep * world.scores[:, LARGE].sum() - 1e-9)


@pytest.mark.parametrize(("keep", "n"), [(0.9, 300), (0.97, 800)])
def test_the_floor_is_missed_in_at_most_five_percent_of_the_days_it_is_promised_for(
    keep: float, n: int
) -> None:
    days, missed, saved = 100, 0, []
    for day in range(days):
        floor = quality_floor(make_world(n, 2 * day).table(), keep, horizon=n)
        missed += is_missed(floor, make_world(n, 2 * day + 1), keep)
        saved.append(floor.saved if isinstance(floor, Floor) else 0.0)
    assert stats.binomtest(missed, days, 0.05, alternative="greater").pvalue > 0.05
    assert np.mean(saved) > 0.02


def test_a_floor_for_the_long_run_is_held_by_the_true_qualities() -> None:
    missed = 0
    for seed in range(60):
        world = make_world(400, seed)
        floor = quality_floor(world.table(), 0.9, horizon=math.inf)
        unseen = make_world(5_000, 1_000 + seed)
        chosen = choose(unseen.quality, unseen.usd, LARGE, floor.rule)
        missed += bool(unseen.truth[np.arange(5_000), chosen].mean() < 0.9 * unseen.truth[:, LARGE].mean())
    assert stats.binomtest(missed, 60, 0.05, alternative="greater").pvalue > 0.05


@given(seeds, keeps, st.integers(2, 600))
@settings(max_examples=40, deadline=None)
def test_no_rule_up_to_the_chosen_one_failed_its_test(seed: int, keep: float, n: int) -> None:
    table = make_world(n, seed, gap=0.1).table()
    floor = quality_floor(table, keep)
    bounds = excess_bounds(table, keep)
    if isinstance(floor, FloorRefused):
        assert floor.rule == ALWAYS_LARGE
        certified = 1 + int(np.argmax(np.append(bounds[1:], -1.0) < 0))
        assert table.usd[:certified].min() >= table.usd[0]
    else:
        assert (bounds[1 : floor.step + 1] >= 0).all()
        assert floor.bound == bounds[floor.step]
        assert floor.rule == table.rule(floor.step)
        assert floor.saved == pytest.approx(1 - table.usd[floor.step] / table.usd[0])
        assert floor.saved > 0


@given(seeds, keeps, st.floats(0.5, 0.99), st.floats(0.001, 0.009))
@settings(max_examples=30, deadline=None)
def test_more_confidence_and_a_shorter_horizon_never_save_more(
    seed: int, keep: float, confidence: float, more: float
) -> None:
    table = make_world(400, seed, gap=0.1).table()

    def usd(confidence: float, horizon: float) -> float:
        floor = quality_floor(table, keep, confidence, horizon)
        return float(table.usd[floor.step if isinstance(floor, Floor) else 0])

    assert usd(confidence + more, 400) >= usd(confidence, 400)
    assert usd(confidence, 100) >= usd(confidence, 400) >= usd(confidence, math.inf)


@given(seeds, keeps, st.floats(0.5, 0.99), st.integers(1, 2_000))
@settings(max_examples=20, deadline=None)
def test_the_bound_is_students_over_the_rows_and_the_made_up_lost_rows(
    seed: int, keep: float, confidence: float, horizon: int
) -> None:
    world = make_world(70, seed)
    table = world.table()
    bounds = excess_bounds(table, keep, confidence, horizon)
    for step in (0, len(table) // 2, len(table) - 1):
        chosen = choose(world.quality, world.usd, LARGE, table.rule(step))
        excess = world.scores[np.arange(70), chosen] - keep * world.scores[:, LARGE]
        counted = np.append(excess, [-keep] * LOST_ROWS)
        spread = counted.std(ddof=1) * math.sqrt(1 / len(counted) + 1 / horizon)
        expected = counted.mean() - stats.t.ppf(confidence, len(counted) - 1) * spread
        assert bounds[step] == pytest.approx(expected, abs=1e-9)


def test_too_few_rows_are_refused_with_how_many_are_needed() -> None:
    table = make_world(60, 3).table()
    floor = quality_floor(table, 0.97)
    assert isinstance(floor, FloorRefused)
    assert floor.rows == 60
    assert floor.rows_needed is not None
    assert floor.rows_needed > 60
    assert floor.why == (
        f"60 calibration rows are too few to promise 97.0%: at least {floor.rows_needed} are needed, "
        "so the large model always answers"
    )


def test_as_many_rows_as_were_asked_for_suffice_and_one_less_does_not() -> None:
    table = make_world(60, 3).table()
    needed = rows_needed(0.97, *(float(figure[1]) for figure in table.excess(0.97)))
    assert needed is not None
    assert excess_bounds(RateTable(table.figures, needed), 0.97)[1] >= 0
    assert excess_bounds(RateTable(table.figures, needed - 1), 0.97)[1] < 0


@given(st.floats(0.5, 0.99), st.floats(0.3, 1))
def test_a_higher_floor_and_a_worse_large_model_need_more_rows(keep: float, quality: float) -> None:
    def needed(keep: float, quality: float) -> int:
        spread = (1 - keep) ** 2 * quality * (1 - quality)
        rows = rows_needed(keep, (1 - keep) * quality, spread)
        assert rows is not None
        return rows

    assert needed(keep, quality) <= needed(keep + (1 - keep) / 4, quality)
    assert needed(keep, quality) <= needed(keep, quality * 0.8)


def test_no_number_of_rows_makes_up_for_a_loss_or_for_a_day_that_is_too_short() -> None:
    assert rows_needed(0.9, -0.01, 0.1) is None
    assert rows_needed(0.9, 0.01, 0.1, horizon=50) is None
    assert rows_needed(0.9, 0.01, 0.1, horizon=math.inf) is not None


def figures(quality: list[float], usd: list[float]) -> FloatArray:
    """A table of rules in which every row has the same excess."""
    margins = [math.inf] + [0.0] * (len(quality) - 1)
    return np.asarray([[0.0, m, c, q, 0.0, 0.0] for m, c, q in zip(margins, usd, quality, strict=True)])


def test_a_refusal_says_what_is_in_the_way() -> None:
    lossy = quality_floor(RateTable(figures([0.8, 0.4], [2.0, 1.0]), 10_000), 0.9)
    assert lossy.why.startswith("the first step away from the large model kept only 50.00% of its quality")
    dear = quality_floor(RateTable(figures([0.8, 0.8], [1.0, 2.0]), 10_000), 0.9)
    assert dear.why.startswith("no certified rule costs less than the large model")
    alone = quality_floor(RateTable(figures([0.8], [1.0]), 10_000), 0.9)
    assert alone.why.startswith("no certified rule costs less than the large model")
    short = quality_floor(RateTable(figures([0.8, 0.8], [2.0, 1.0]), 1), 0.9, horizon=1)
    assert isinstance(short, FloorRefused)
    assert {floor.rule for floor in (lossy, dear, alone, short)} == {ALWAYS_LARGE}


def test_a_large_model_that_is_never_right_is_kept_by_anything() -> None:
    floor = quality_floor(RateTable(figures([0.0, 0.1], [2.0, 1.0]), 10_000), 0.9)
    assert isinstance(floor, Floor)
    assert (floor.kept, floor.saved) == (1.0, 0.5)


def test_a_floor_says_what_it_kept_and_saved() -> None:
    floor = quality_floor(RateTable(figures([0.8, 0.8, 0.1], [2.0, 1.0, 0.5]), 10_000), 0.9)
    assert floor.why == (
        "on 10000 calibration rows 100.0% of the large model's quality was kept and 50.0% of its cost saved"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"keep": 0}, "keep: expected more than 0 and at most 1, got 0"),
        ({"keep": 1.5}, "keep: expected"),
        ({"keep": math.nan}, "keep: expected"),
        ({"keep": 0.9, "confidence": 1}, "confidence: expected at least 0.5 and less than 1, got 1"),
        ({"keep": 0.9, "confidence": 0.4}, "confidence: expected"),
        ({"keep": 0.9, "horizon": 0}, "horizon: expected at least 1 request, got 0"),
        ({"keep": 0.9, "horizon": math.nan}, "horizon: expected"),
    ],
)
def test_what_is_no_promise_is_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        quality_floor(RateTable(figures([0.8], [1.0]), 100), **arguments)
