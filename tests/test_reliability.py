"""Reliability curves: the bins of the ECE, with Wilson intervals."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pinnace.errors import TableError
from pinnace.eval.gate_metrics import ece, reliability
from pinnace.eval.reliability import reliability_curve, wilson_interval


def made_up(n=400):
    rng = np.random.default_rng(3)
    confidence = rng.random(n)
    return confidence, (rng.random(n) < confidence).astype(np.float64)


def test_the_curve_has_the_bins_of_the_ece():
    confidence, right = made_up()
    curve = reliability_curve("small", "gate", confidence, right)
    expected = reliability(confidence, right)
    np.testing.assert_array_equal(curve.confidence, expected.confidence)
    np.testing.assert_array_equal(curve.right, expected.right)
    assert curve.ece == ece(confidence, right)
    assert curve.counts.tolist() == [40.0] * 10


def test_a_short_table_gets_fewer_bins():
    confidence, right = made_up(35)
    curve = reliability_curve("small", "estimate", confidence, right)
    assert len(curve.confidence) == 3
    assert curve.counts.sum() == pytest.approx(35)
    assert curve.ece == ece(confidence, right, 3)


def test_plain_values_go_into_json():
    plain = reliability_curve("small", "gate", *made_up()).as_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["what"] == "gate"


def test_a_confidence_beyond_one_is_refused():
    with pytest.raises(TableError, match=r"from 0 to 1, got 1\.5"):
        reliability_curve("small", "gate", np.array([0.5, 1.5]), np.array([1.0, 0]))


@given(st.integers(1, 500), st.data())
def test_intervals_are_those_of_scipy(count, draw):
    hits = draw.draw(st.integers(0, count))
    low, high = wilson_interval(np.array([hits / count]), np.array([float(count)]))
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low[0] <= hits / count <= high[0] <= 1
