"""Rules and their figures: from always the large model to always the cheapest, counted as by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from router_worlds import LARGE, PRICES, make_world

from pinnace.router.rate_table import COLUMNS, MARGINS, RATES, RateTable, Rule, calibrate, choose, rules_of
from pinnace.router.types import FloatArray

seeds = st.integers(0, 10_000)


@given(seeds, st.integers(1, 40), st.integers(1, 5), st.booleans())
@settings(max_examples=30)
def test_the_first_rule_is_always_the_large_model_and_the_last_always_the_cheapest(
    seed: int, n: int, models: int, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    quality, usd = rng.random((n, models)), rng.random((n, models))
    if coarse:
        quality, usd = quality.round(1), usd.round(1)
    large = int(rng.integers(models))
    rules = list(rules_of(quality, usd, large))
    assert (choose(quality, usd, large, rules[0]) == large).all()
    last = choose(quality, usd, large, rules[-1])
    assert usd[np.arange(n), last] == pytest.approx(usd.min(axis=1))
    assert len(rules) <= MARGINS + RATES + 1


@given(seeds)
@settings(max_examples=20)
def test_the_expected_cost_never_rises_with_the_rate_and_the_margin_only_falls(seed: int) -> None:
    world = make_world(60, seed)
    rules = list(rules_of(world.quality, world.usd, LARGE))
    assert [rule.margin for rule in rules] == sorted((rule.margin for rule in rules), reverse=True)
    assert [rule.rate for rule in rules] == sorted(rule.rate for rule in rules)
    usd = [
        world.usd[np.arange(60), choose(world.quality, world.usd, LARGE, rule)].mean()
        for rule in rules
        if rule.margin == 0
    ]
    assert all(after <= before + 1e-12 for before, after in pairwise(usd))


@given(seeds, st.floats(0.5, 1))
@settings(max_examples=20)
def test_the_figures_are_those_of_the_rows_that_each_rule_chose(seed: int, keep: float) -> None:
    world = make_world(50, seed)
    table = world.table()
    means, variances = table.excess(keep)
    for step in range(0, len(table), 7):
        chosen = choose(world.quality, world.usd, LARGE, table.rule(step))
        kept = world.scores[np.arange(50), chosen]
        excess = kept - keep * world.scores[:, LARGE]
        assert table.quality[step] == pytest.approx(kept.mean())
        assert table.usd[step] == pytest.approx(world.usd[np.arange(50), chosen].mean())
        assert means[step] == pytest.approx(excess.mean())
        assert variances[step] == pytest.approx(excess.var(ddof=1), abs=1e-12)


def test_a_margin_keeps_the_large_model_where_another_is_hardly_better() -> None:
    quality, usd = np.asarray([[0.8, 0.0, 0.7], [0.95, 0.0, 0.7], [0.7, 0.0, 0.7]]), np.tile(PRICES, (3, 1))
    assert choose(quality, usd, LARGE, Rule(0.0, 0.2)).tolist() == [LARGE, 0, LARGE]
    assert choose(quality, usd, LARGE, Rule(0.0, 0.0)).tolist() == [0, 0, LARGE]
    assert choose(quality, usd, LARGE, Rule(1.0, 0.0)).tolist() == [0, 0, 0]


def test_rules_follow_the_unit_of_cost() -> None:
    world = make_world(80, 1)
    cents = calibrate(world.quality, world.usd * 128, world.scores, world.usd * 128, LARGE)
    assert cents.usd == pytest.approx(world.table().usd * 128)
    assert cents.quality == pytest.approx(world.table().quality)


def test_a_fleet_of_one_has_one_rule() -> None:
    one = np.full((3, 1), 0.5)
    table = calibrate(one, one, one, one, 0)
    assert (len(table), table.rule(0)) == (1, Rule(0.0, np.inf))


def test_one_row_is_a_table_without_variance() -> None:
    world = make_world(1, 0)
    table = world.table()
    assert table.figures.shape[1] == len(COLUMNS)
    assert np.isfinite(table.figures[1:]).all()


HALF = np.full((4, 2), 0.5)


@pytest.mark.parametrize(
    ("quality", "scores", "large", "said"),
    [
        (
            HALF[:, :1],
            HALF,
            0,
            r"expected four arrays of one shape \(rows, models\), got \[\(4, 1\), \(4, 2\)",
        ),
        (HALF[:0], HALF[:0], 0, "expected four arrays of one shape"),
        (np.where(HALF > 0, np.nan, HALF), HALF, 0, "expected finite qualities and costs"),
        (HALF, HALF, 2, r"expected the large model's column in 0\.\.1, got 2"),
        (HALF, HALF, -1, "expected the large model's column"),
        (HALF, HALF * 3, 0, r"expected scores in 0\.\.1, got .*1\.5"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    quality: FloatArray, scores: FloatArray, large: int, said: str
) -> None:
    usd = HALF[: len(scores)]
    with pytest.raises(ValueError, match=said):
        calibrate(quality, usd, scores, usd, large)


def test_a_table_without_its_first_rule_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="the first rule is always the large model"):
        RateTable(np.zeros((1, len(COLUMNS))), 10)
