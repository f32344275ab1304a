"""Metrics over many models: a hand-computed table, the published formulas, bounds and invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.routing_metrics import (
    accuracy,
    aiq,
    arena_score,
    audc,
    best_single,
    gain_over_best_single,
    gap_to_oracle,
    is_cheapest_right,
    mean_cost,
    oracle,
    qnc,
    routed,
    routing_accuracy,
)

# Model means 0.5, 0.5, 0.75; the oracle has 1, 1, 1, 0. Chosen scores are 1, 1, 1, 0 and costs 1, 4, 2, 1.
# The cheapest that is right: model 0, model 1, model 0, none; chosen 0, 2, 1, 0: right once of three.
SCORES = np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]])
COSTS = np.array([[1.0, 2, 4]] * 4)
CHOSEN = np.array([0, 2, 1, 0])

quarters = st.integers(0, 4).map(lambda value: value / 4)


@st.composite
def routings(draw):
    n, m = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    scores = np.array(draw(st.lists(quarters, min_size=n * m, max_size=n * m))).reshape(n, m)
    costs = np.array(draw(st.lists(quarters, min_size=n * m, max_size=n * m))).reshape(n, m)
    return np.array(draw(st.lists(st.integers(0, m - 1), min_size=n, max_size=n))), scores, costs


def test_one_choice_by_hand():
    assert accuracy(CHOSEN, SCORES) == 0.75
    assert mean_cost(CHOSEN, COSTS) == 2.0
    assert gain_over_best_single(CHOSEN, SCORES) == 0.0
    assert gap_to_oracle(CHOSEN, SCORES) == 0.0
    assert routing_accuracy(CHOSEN, SCORES, COSTS) == pytest.approx(1 / 3)
    np.testing.assert_equal(is_cheapest_right(CHOSEN, SCORES, COSTS), [1, 0, 0, np.nan])


def test_models_that_are_right_at_one_cost_are_all_the_cheapest():
    scores = np.array([[1.0, 1.0]])
    assert routing_accuracy(np.array([1]), scores, np.array([[2.0, 2.0]])) == 1.0


def test_where_no_model_is_right_there_is_no_routing_accuracy_and_no_gap():
    chosen, nothing = np.array([0]), np.zeros((1, 2))
    assert np.isnan(routing_accuracy(chosen, nothing, nothing))
    assert np.isnan(gap_to_oracle(chosen, nothing))


def test_a_model_that_was_not_run_is_refused():
    holes = SCORES.copy()
    holes[2, 1] = np.nan
    with pytest.raises(TableError, match=r"scores: row 3: expected a number in every row .*, got nan"):
        accuracy(CHOSEN, holes)
    with pytest.raises(TableError, match="costs: row 3"):
        mean_cost(CHOSEN, holes)
    with pytest.raises(TableError, match="scores: expected at least one row"):
        oracle(np.empty((0, 2)))


@pytest.mark.parametrize(
    ("quality", "usd_per_1k", "score"),
    [
        (0.8, 200, 0.0),  # C = 0
        (0.8, 0.0044, 1.1 * 0.8 / 1.08),  # C = 1
        (0.6, np.sqrt(200 * 0.0044), 1.1 * 0.6 * 0.5 / 0.56),  # the geometric middle: C = 0.5
        (0.0, 1.0, 0.0),
        (0.8, 0.0, np.nan),
    ],
)
def test_arena_scores_by_hand(quality, usd_per_1k, score):
    assert arena_score(quality, usd_per_1k) == pytest.approx(score, nan_ok=True)


def test_aiq_in_both_normalisations():
    # Hull from (1, 0.5) to (3, 0.9): area 1.4 over a range of 2, or divided by the largest cost of 3.
    costs, qualities = np.array([1.0, 2, 3]), np.array([0.5, 0.6, 0.9])
    found = aiq(costs, qualities, 1, 3)
    assert (found.by_range, found.by_largest) == (pytest.approx(0.7), pytest.approx(1.4 / 3))
    # Another router reaches down to 0.5 and up to 4: clamped 0.5 x 0.5 and flat 1 x 0.9 are added.
    wider = aiq(costs, qualities, 0.5, 4)
    assert (wider.by_range, wider.by_largest) == (pytest.approx(2.55 / 3.5), pytest.approx(2.3 / 4))


def test_audc_counts_the_valley_that_a_hull_would_bridge():
    # 0.5 down to 0.3 and up to 0.9, cost scaled to 0..1: (0.4 + 0.6) / 2.
    costs, qualities = np.array([3.0, 1, 2, 2]), np.array([0.9, 0.5, 0.3, 0.1])
    assert audc(costs, qualities, 1, 3) == pytest.approx(0.5)
    assert audc(costs, qualities, 2, 2) == 0.5


def test_qnc_is_the_first_setting_that_reaches_the_best_single_model():
    costs, qualities = np.array([1.0, 2, 3]), np.array([0.5, 0.7, 0.9])
    assert qnc(costs, qualities, 0.6, 1, 5) == pytest.approx(0.25)
    assert qnc(costs, qualities, 0.9, 1, 5) == pytest.approx(0.5)
    assert np.isnan(qnc(costs, qualities, 0.91, 1, 5))
    assert qnc(costs, qualities, 0.6, 2, 2) == 0.0


@given(routings())
def test_no_choice_beats_the_oracle_and_the_best_single_lies_between(routing):
    chosen, scores, _ = routing
    assert accuracy(chosen, scores) <= oracle(scores) + 1e-12
    assert best_single(scores) <= oracle(scores) + 1e-12
    assert accuracy(scores.argmax(axis=1), scores) == pytest.approx(oracle(scores))
    singles = [accuracy(np.full(len(scores), m), scores) for m in range(scores.shape[1])]
    assert max(singles) == pytest.approx(best_single(scores))


@given(routings())
def test_sending_each_prompt_to_the_cheapest_right_model_is_a_routing_accuracy_of_one(routing):
    _, scores, costs = routing
    perfect = np.where(scores >= 0.5, costs, np.inf).argmin(axis=1)
    assert routing_accuracy(perfect, scores, costs) == 1.0 or not (scores >= 0.5).any()


@given(routings(), st.randoms(use_true_random=False), st.sampled_from([0.25, 8.0, 1024.0]))
def test_neither_the_order_of_models_nor_the_cost_unit_matters(routing, random, unit):
    chosen, scores, costs = routing
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    moved = np.argsort(order)[chosen], scores[:, order], costs[:, order] * unit
    for figure in (accuracy, gain_over_best_single, gap_to_oracle):
        assert figure(*moved[:2]) == pytest.approx(figure(chosen, scores), nan_ok=True)
    assert routing_accuracy(*moved) == pytest.approx(routing_accuracy(chosen, scores, costs), nan_ok=True)
    assert mean_cost(moved[0], moved[2]) == pytest.approx(mean_cost(chosen, costs) * unit)
    np.testing.assert_array_equal(routed(*moved[:2]), routed(chosen, scores))


@given(
    st.lists(st.tuples(quarters, quarters), min_size=1, max_size=8),
    st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)
def test_curve_metrics_know_no_unit_and_no_order_and_the_hull_is_above_the_curve(settings, unit, random):
    costs, qualities = np.array(settings).T + np.array([[1.0], [0.0]])
    low, high = 1.0, 2.5
    order = list(range(len(settings)))
    random.shuffle(order)
    moved = costs[order] * unit, qualities[order]
    assert audc(*moved, low * unit, high * unit) == pytest.approx(audc(costs, qualities, low, high))
    assert qnc(*moved, 0.5, low * unit, high * unit) == pytest.approx(
        qnc(costs, qualities, 0.5, low, high), nan_ok=True, abs=1e-9
    )
    plain, scaled = aiq(costs, qualities, low, high), aiq(*moved, low * unit, high * unit)
    assert (scaled.by_range, scaled.by_largest) == (
        pytest.approx(plain.by_range),
        pytest.approx(plain.by_largest),
    )
    assert audc(costs, qualities, low, high) <= plain.by_range + 1e-12
