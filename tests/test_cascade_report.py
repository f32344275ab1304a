"""A cascade against the blind mix at equal share: by hand, and against plain bootstrap."""

import numpy as np
import pytest

from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.cascade_report import SHARES, cascade_points, over_blind_draws

SMALL = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
LARGE = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
CONFIDENCE = np.linspace(0.05, 0.95, 10)


def test_points_are_those_worked_out_by_hand() -> None:
    points = cascade_points(SMALL, LARGE, CONFIDENCE, draw_weights(10, 50, 0), [0.2, 0.7])
    low, high = points
    assert (low.accuracy, low.blind_accuracy) == pytest.approx((0.9, 0.74))
    assert low.over_blind.value == pytest.approx(0.16)
    assert (low.escalation.gain, low.escalation.regressions) == pytest.approx((0.2, 0.0))
    assert low.escalation.tax == pytest.approx(-0.1)
    assert high.accuracy == pytest.approx(0.9)
    assert high.escalation.regressions == pytest.approx(1 / 7)


def test_a_gate_that_knows_nothing_is_the_blind_mix() -> None:
    points = cascade_points(SMALL, LARGE, np.full(10, 0.5), draw_weights(10, 50, 0))
    for point in points:
        assert point.over_blind.value == pytest.approx(0)
        assert (point.over_blind.low, point.over_blind.high) == pytest.approx((0, 0))


def test_a_draw_is_the_figure_of_its_rows() -> None:
    random = np.random.default_rng(0)
    small, large, confidence = random.random((3, 40)).round(1)
    weights = draw_weights(40, 4, 1)
    found = over_blind_draws(small, large, confidence, weights)
    for draw, differences in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(40), draw.astype(int))
        points = cascade_points(small[rows], large[rows], confidence[rows], weights)
        assert differences == pytest.approx([point.over_blind.value for point in points])
    assert found.shape == (4, len(SHARES))
