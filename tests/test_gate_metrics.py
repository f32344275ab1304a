"""Metrics of a confidence: against scikit-learn, by hand, over ties, and over bootstrap draws."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from pinnace.errors import TableError
from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.gate_metrics import (
    aurc,
    auroc,
    auroc_draws,
    brier,
    brier_draws,
    ece,
    ece_draws,
    excess_aurc,
    excess_aurc_draws,
    reliability,
    risk_coverage,
)

METRICS = [(auroc, auroc_draws), (brier, brier_draws), (ece, ece_draws), (excess_aurc, excess_aurc_draws)]
CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6])
RIGHT = np.array([1.0, 0, 1, 0])

eighths = st.integers(0, 8).map(lambda value: value / 8)
halves = st.sampled_from([0.0, 0.5, 1.0])


@st.composite
def judged(draw):
    n = draw(st.integers(1, 15))
    columns = [np.array(draw(st.lists(values, min_size=n, max_size=n))) for values in (eighths, halves)]
    return columns[0], columns[1]


@st.composite
def weighted(draw):
    confidence, right = draw(judged())
    counts = st.lists(st.integers(0, 3), min_size=len(right), max_size=len(right)).filter(any)
    return confidence, right, np.array(draw(st.lists(counts, min_size=1, max_size=4)), dtype=np.float32)


def made_up(n, places):
    rng = np.random.default_rng(7)
    confidence = np.round(rng.random(n), places)
    return confidence, (rng.random(n) < confidence).astype(np.float64)


@pytest.mark.parametrize("places", [1, 8])
def test_auroc_and_brier_agree_with_scikit_learn(places):
    confidence, right = made_up(500, places)
    assert auroc(confidence, right) == pytest.approx(roc_auc_score(right, confidence))
    assert brier(confidence, right) == pytest.approx(brier_score_loss(right, confidence))


@pytest.mark.parametrize("places", [1, 8])
def test_draws_agree_with_scikit_learn_under_sample_weights(places):
    confidence, right = made_up(300, places)
    weights = draw_weights(300, 20, seed=1)
    aurocs = [roc_auc_score(right, confidence, sample_weight=row) for row in weights]
    briers = [brier_score_loss(right, confidence, sample_weight=row) for row in weights]
    np.testing.assert_allclose(auroc_draws(confidence, right, weights), aurocs)
    np.testing.assert_allclose(brier_draws(confidence, right, weights), briers)


def test_auroc_by_hand():
    # Of the pairs (right, wrong) 0.9 beats 0.8 and 0.6, 0.7 beats 0.6 only: 3 of 4.
    assert auroc(CONFIDENCE, RIGHT) == 0.75
    assert auroc(-1 / CONFIDENCE, RIGHT) == 0.75  # any scale
    assert np.isnan(auroc(CONFIDENCE, np.ones(4)))


def test_ece_by_hand():
    # Two bins: means 0.85 and 0.65 against rights 0.5 and 0.5: (0.35 + 0.15) / 2.
    assert ece(CONFIDENCE, RIGHT, bins=2) == pytest.approx(0.25)
    # One row a bin: (0.1 + 0.8 + 0.3 + 0.6) / 4; and one bin: |0.75 - 0.5|.
    assert ece(CONFIDENCE, RIGHT, bins=4) == pytest.approx(0.45)
    assert ece(CONFIDENCE, RIGHT, bins=1) == pytest.approx(0.25)


def test_without_ties_the_bins_of_ece_are_the_plain_tenths():
    confidence, right = made_up(200, 12)
    tenths = np.array_split(np.argsort(confidence), 10)
    expected = np.mean([abs(confidence[rows].mean() - right[rows].mean()) for rows in tenths])
    assert ece(confidence, right) == pytest.approx(expected)
    diagram = reliability(confidence, right)
    np.testing.assert_allclose(diagram.confidence, [confidence[rows].mean() for rows in tenths])
    np.testing.assert_allclose(diagram.right, [right[rows].mean() for rows in tenths])


def test_a_constant_confidence_that_is_the_mean_has_no_calibration_error():
    assert ece(np.full(7, 3 / 7), np.array([1.0, 1, 1, 0, 0, 0, 0])) == pytest.approx(0, abs=1e-12)


def test_risk_and_coverage_by_hand():
    # Errors in order 0, 1, 0, 1: risks 0, 1/2, 1/3, 2/4, mean 1/3. Perfect: 0, 0, 1/3, 2/4, mean 5/24.
    coverage, risk = risk_coverage(CONFIDENCE, RIGHT)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc(CONFIDENCE, RIGHT) == pytest.approx(1 / 3)
    assert excess_aurc(CONFIDENCE, RIGHT) == pytest.approx(1 / 3 - 5 / 24)


def test_the_exact_perfect_aurc_nears_the_published_approximation():
    # Geifman et al. 2019: with n large and error rate r, the perfect AURC is r + (1 - r) ln(1 - r).
    right = (np.arange(20_000) >= 6_000).astype(np.float64)
    assert aurc(right, right) == pytest.approx(0.3 + 0.7 * np.log(0.7), abs=1e-4)


@pytest.mark.parametrize("metric", [aurc, excess_aurc, auroc])
def test_ties_are_the_mean_over_all_orders_of_the_tied_rows(metric):
    confidence = np.array([0.4, 0.9, 0.4, 0.4, 0.1])
    right = np.array([1.0, 0, 0, 1, 1])
    orders = [
        metric(confidence + 1e-3 * np.array([order[0], 0, order[1], order[2], 0]), right)
        for order in permutations(range(3))
    ]
    assert metric(confidence, right) == pytest.approx(np.mean(orders))


def test_what_is_no_probability_is_refused_where_one_is_needed():
    for metric in (brier, ece):
        with pytest.raises(TableError, match=r"confidence: row 2: expected a number from 0 to 1, got -0\.5"):
            metric(np.array([0.5, -0.5]), np.ones(2))
    with pytest.raises(TableError, match=r"right: row 1: .* got nan"):
        auroc(np.ones(2), np.array([np.nan, 1]))
    with pytest.raises(TableError, match="confidence: expected at least one row"):
        aurc(np.empty(0), np.empty(0))


@pytest.mark.parametrize(("plain", "draws"), METRICS)
@given(drawn=weighted())
def test_a_draw_equals_the_metric_on_the_repeated_rows(plain, draws, drawn):
    confidence, right, weights = drawn
    counts = weights.astype(int)
    expected = [plain(np.repeat(confidence, row), np.repeat(right, row)) for row in counts]
    np.testing.assert_allclose(draws(confidence, right, weights), expected, atol=1e-9)


@given(drawn=weighted())
def test_the_closed_form_of_excess_aurc_is_the_difference_of_two_curves(drawn):
    confidence, right, weights = drawn
    expected = [
        aurc(np.repeat(confidence, row), np.repeat(right, row))
        - aurc(np.repeat(right, row), np.repeat(right, row))
        for row in weights.astype(int)
    ]
    np.testing.assert_allclose(excess_aurc_draws(confidence, right, weights), expected, atol=1e-9)


@pytest.mark.parametrize(("plain", "draws"), METRICS)
def test_weights_of_one_equal_the_plain_metric_in_every_block(plain, draws):
    confidence, right = made_up(4000, 2)
    found = draws(confidence, right, np.ones((150, 4000), dtype=np.float32))
    assert found.shape == (150,)
    np.testing.assert_allclose(found, plain(confidence, right))


@given(judged(), st.randoms(use_true_random=False))
def test_no_order_of_rows_matters(drawn, random):
    confidence, right = drawn
    order = list(range(len(right)))
    random.shuffle(order)
    for metric, _ in METRICS:
        moved = metric(confidence[order], right[order])
        assert moved == pytest.approx(metric(confidence, right), nan_ok=True, abs=1e-9)


@given(judged())
def test_bounds(drawn):
    confidence, right = drawn
    assert excess_aurc(confidence, right) >= -1e-12
    assert excess_aurc(right, right) == pytest.approx(0, abs=1e-12)
    assert 0 <= ece(confidence, right) <= 1
    assert ece(confidence, right, bins=1) <= ece(confidence, right) + 1e-12
    assert ece(confidence, right) ** 2 <= brier(confidence, right) + 1e-12
    turned = auroc(1 - confidence, right)
    assert turned == pytest.approx(1 - auroc(confidence, right), nan_ok=True)
