"""Calibration curves: they find what rows were made with, never fall, and agree with scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from pinnace.router.calibration import (
    Isotonic,
    Platt,
    apply_curve,
    expected_calibration_error,
    fit_isotonic,
    fit_platt,
    log_loss,
    sigmoid,
    sigmoids,
)


def made_with(slope: float, intercept: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    odds = random.normal(0, 2, n)
    return odds, (random.random(n) < sigmoids(intercept + slope * odds)).astype(float)


def test_platt_finds_what_the_rows_were_made_with() -> None:
    curve = fit_platt(*made_with(0.5, -1.0))
    assert (curve.slope, curve.intercept) == pytest.approx((0.5, -1.0), abs=0.05)


def test_platt_keeps_off_certainty_where_all_rows_are_told_apart() -> None:
    odds = np.array([-3.0, -2.0, 2.0, 3.0])
    curve = fit_platt(odds, (odds > 0).astype(float))
    assert curve.probability(3.0) == pytest.approx(0.75, abs=0.05)
    assert curve.probability(-3.0) == pytest.approx(0.25, abs=0.05)


def test_platt_of_one_value_is_the_share_of_right_answers() -> None:
    curve = fit_platt(np.full(998, 0.7), np.repeat([0.0, 1.0], 499))
    assert curve.probability(0.7) == pytest.approx(0.5)


def test_platt_does_not_turn_ranks_round() -> None:
    curve = fit_platt(*made_with(-1.0, 0.0, n=998))
    assert curve.probability(-3.0) == curve.probability(3.0) == pytest.approx(0.5, abs=0.05)


def test_isotonic_lies_on_lines_between_its_knots_and_is_level_beyond() -> None:
    curve = Isotonic((0.0, 2.0), (0.2, 0.6))
    assert [curve.probability(x) for x in (-9.0, 0.0, 0.5, 2.0, 9.0)] == pytest.approx(
        [0.2, 0.2, 0.3, 0.6, 0.6]
    )


def test_isotonic_pools_what_falls() -> None:
    curve = fit_isotonic(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert curve.x == (0.0, 1.5, 3.0)
    assert curve.y == pytest.approx((0.25, 0.5, 0.75))


def test_isotonic_pools_are_those_of_scikit_learn() -> None:
    odds, right = made_with(1.0, 0.0, n=500)
    curve = fit_isotonic(odds, right)
    theirs = IsotonicRegression().fit(odds, right).predict(np.sort(odds))
    shares, counts = np.unique(theirs, return_counts=True)
    assert curve.y == pytest.approx((shares * counts + 0.5) / (counts + 1))


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=40), st.floats(-50, 50))
def test_isotonic_never_falls_and_is_never_certain(rows: list[tuple[float, bool]], at: float) -> None:
    odds, right = np.array([x for x, _ in rows]), np.array([float(y) for _, y in rows])
    curve = fit_isotonic(odds, right)
    assert list(curve.x) == sorted(curve.x)
    assert list(curve.y) == sorted(curve.y)
    assert 0 < curve.y[0] <= curve.probability(at) <= curve.y[-1] < 1


@pytest.mark.parametrize("curve", [Platt(0.5, -1.0), Isotonic((-1.0, 0.0, 2.0), (0.1, 0.2, 0.9))])
def test_many_values_are_as_one_by_one(curve: Platt | Isotonic) -> None:
    odds = np.linspace(-5, 5, 41)
    one_by_one = [curve.probability(value) for value in odds.tolist()]
    np.testing.assert_allclose(apply_curve(curve, odds), one_by_one)


def test_the_calibration_error_is_that_worked_out_by_hand() -> None:
    confidence = np.array([0.1, 0.2, 0.8, 0.9])
    right = np.array([0.0, 1.0, 1.0, 1.0])
    assert expected_calibration_error(confidence, right, bins=2) == pytest.approx((0.35 + 0.15) / 2)
    assert expected_calibration_error(right, right) == 0


def test_the_log_loss_is_that_worked_out_by_hand() -> None:
    loss = log_loss(np.array([0.8, 0.5]), np.array([1.0, 0.0]))
    assert loss == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)
    assert math.isfinite(log_loss(np.array([0.0]), np.array([1.0])))


@given(st.floats(allow_nan=False))
def test_the_sigmoid_is_sound_at_both_ends(value: float) -> None:
    assert 0 <= sigmoid(value) <= 1
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1)
    assert sigmoids(np.array([value]))[0] == pytest.approx(sigmoid(value))
