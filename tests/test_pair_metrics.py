"""Metrics of a strong and weak pair: hand-computed tables, scikit-learn's trapezoid, ties and draws."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from pinnace.errors import TableError
from pinnace.eval.pair_metrics import (
    accuracy_at,
    apgr,
    apgr_draws,
    content_blind,
    cpt,
    cpt_draws,
    escalation,
    pgr,
    share_curve,
)

# By falling need the rows are 1, 2, 3, 0; going strong gains +1, +1, -1, 0 of 4.
WEAK = np.array([1.0, 0, 0, 1])
STRONG = np.array([1.0, 1, 1, 0])
NEED = np.array([0.1, 0.9, 0.8, 0.2])
CURVE = [0.5, 0.75, 1.0, 0.75, 0.75]

quarters = st.integers(0, 4).map(lambda value: value / 4)


@st.composite
def pairs(draw, most=12):
    n = draw(st.integers(1, most))
    return [np.array(draw(st.lists(quarters, min_size=n, max_size=n))) for _ in range(3)]


@st.composite
def weighted_pairs(draw):
    columns = draw(pairs())
    counts = st.lists(st.integers(0, 3), min_size=len(columns[0]), max_size=len(columns[0])).filter(any)
    return columns, np.array(draw(st.lists(counts, min_size=1, max_size=4)), dtype=np.float32)


def test_the_curve_of_four_rows():
    np.testing.assert_allclose(share_curve(WEAK, STRONG, NEED), CURVE)


def test_pgr_is_the_part_of_the_gap():
    assert pgr(0.7, 0.5, 0.9) == pytest.approx(0.5)
    assert np.isnan(pgr(0.7, 0.5, 0.5))


def test_apgr_by_hand_and_by_scikit_learn():
    # Area: (0.5/2 + 0.75 + 1 + 0.75 + 0.75/2) / 4 = 0.78125; (0.78125 - 0.5) / (0.75 - 0.5) = 1.125.
    curve = share_curve(WEAK, STRONG, NEED)
    assert apgr(curve) == pytest.approx(1.125)
    assert apgr(curve) == pytest.approx((auc(np.linspace(0, 1, 5), CURVE) - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("percent", "share"),
    [(0, 0), (50, 0.25), (100, 0.25), (200, 0.5), (250, np.nan)],  # accuracies 0.5 + percent/100 x 0.25
)
def test_cpt_by_hand(percent, share):
    assert cpt(share_curve(WEAK, STRONG, NEED), percent) == pytest.approx(share, nan_ok=True)


def test_cpt_is_not_defined_where_the_strong_model_is_no_better():
    assert np.isnan(cpt(share_curve(STRONG, WEAK, NEED), 50))
    assert np.isnan(cpt(share_curve(WEAK, WEAK, NEED), 50))
    assert np.isnan(apgr(share_curve(WEAK, WEAK, NEED)))


def test_accuracy_at_a_share_and_the_blind_one():
    curve = share_curve(WEAK, STRONG, NEED)
    assert accuracy_at(curve, 0.125) == pytest.approx(0.625)
    assert content_blind(0.5, 0.75, 0.125) == pytest.approx(0.53125)


def test_equal_need_is_the_mean_over_all_orders_of_the_tied_rows():
    need = np.array([0.5, 0.9, 0.5, 0.5])
    orders = [
        share_curve(WEAK, STRONG, need + 1e-3 * np.array([order[0], 0, order[1], order[2]]))
        for order in permutations(range(3))
    ]
    np.testing.assert_allclose(share_curve(WEAK, STRONG, need), np.mean(orders, axis=0))


def test_gaps_and_impossible_scores_are_refused():
    with pytest.raises(TableError, match=r"strong: row 2: expected a number in every row.*got nan"):
        share_curve(WEAK, np.array([1, np.nan, 0, 0]), NEED)
    with pytest.raises(TableError, match="weak: row 1: expected a number from 0 to 1, got 2"):
        share_curve(np.array([2.0]), np.array([1.0]), np.array([1.0]))


@given(pairs(), st.floats(0, 1))
def test_a_constant_need_is_content_blind(columns, share):
    weak, strong, _ = columns
    curve = share_curve(weak, strong, np.zeros(len(weak)))
    assert accuracy_at(curve, share) == pytest.approx(content_blind(weak.mean(), strong.mean(), share))
    assert np.isnan(apgr(curve)) or apgr(curve) == pytest.approx(0.5)


@given(pairs())
def test_the_curve_lies_between_its_reverse_and_the_perfect_order(columns):
    weak, strong, need = columns
    best = share_curve(weak, strong, strong - weak)
    worst = share_curve(weak, strong, weak - strong)
    curve = share_curve(weak, strong, need)
    assert (worst - 1e-12 <= curve).all()
    assert (curve <= best + 1e-12).all()
    assert curve[0] == pytest.approx(weak.mean())
    assert curve[-1] == pytest.approx(strong.mean())


@given(pairs(), st.floats(0.1, 10), st.floats(-5, 5))
def test_only_the_order_of_need_matters(columns, scale, shift):
    weak, strong, need = columns
    moved = share_curve(weak, strong, np.round(need * 4) * scale + shift)
    np.testing.assert_allclose(moved, share_curve(weak, strong, need), atol=1e-12)


@given(weighted_pairs(), st.sampled_from([20, 50, 80, 100]))
def test_a_draw_equals_the_metric_on_the_repeated_rows(drawn, percent):
    columns, weights = drawn
    curves = [share_curve(*(np.repeat(c, counts) for c in columns)) for counts in weights.astype(int)]
    np.testing.assert_allclose(apgr_draws(*columns, weights), [apgr(curve) for curve in curves], atol=1e-9)
    expected = [cpt(curve, percent) for curve in curves]
    np.testing.assert_allclose(cpt_draws(*columns, weights, percent), expected, atol=1e-9)


def test_weights_of_one_equal_the_plain_metric():
    ones = np.ones((2, 4), dtype=np.float32)
    np.testing.assert_allclose(apgr_draws(WEAK, STRONG, NEED, ones), 1.125)
    np.testing.assert_allclose(cpt_draws(WEAK, STRONG, NEED, ones, 200), 0.5)


def test_an_escalation_by_hand():
    # E is rows 1, 2 and 4: f = 0.6, acc_S|E = 1/3, acc_L|E = 2/3, acc_S = 0.4, acc_L = 0.6; row 2 regressed.
    small = np.array([1.0, 0, 1, 0, 0])
    large = np.array([1.0, 1, 0, 0, 1])
    found = escalation(small, large, np.array([False, True, True, False, True]))
    assert found.share == pytest.approx(0.6)
    assert found.gain == pytest.approx(0.2)
    assert found.blind_gain == pytest.approx(0.12)
    assert found.regressions == pytest.approx(1 / 3)
    assert found.tax == pytest.approx(0.6 - 2 / 3)


def test_no_escalation_gains_nothing_and_has_no_regressions_to_count():
    found = escalation(WEAK, STRONG, np.zeros(4, dtype=bool))
    assert (found.share, found.gain, found.blind_gain) == (0, 0, 0)
    assert np.isnan(found.regressions)
    assert np.isnan(found.tax)


@given(pairs(), st.data())
def test_the_gain_is_what_the_cascade_adds_to_the_small_model(columns, data):
    small, large, _ = columns
    n = len(small)
    escalated = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    found = escalation(small, large, escalated)
    assert small.mean() + found.gain == pytest.approx(np.where(escalated, large, small).mean())
    everything = escalation(small, large, np.ones(n, dtype=bool))
    assert everything.gain == pytest.approx(everything.blind_gain)
