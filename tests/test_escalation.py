"""Escalation gains: intervals that hold what they promise, and prove nothing from a few rows."""

import numpy as np
import pytest

from pinnace.router.escalation import fit_gains


def test_the_gain_is_the_mean_difference_of_the_rows_where_both_ran() -> None:
    scores = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [np.nan, 1.0], [0.0, np.nan]] * 50)
    gains = fit_gains(scores, np.zeros(250, dtype=np.int64), 1)
    assert gains.gain[0, 0, 1] == pytest.approx(100 / 152)
    np.testing.assert_allclose(gains.gain, -gains.gain.transpose(0, 2, 1))
    np.testing.assert_allclose(gains.half, gains.half.transpose(0, 2, 1))
    np.testing.assert_allclose(gains.gain[0], gains.gain[1])


def test_few_equal_rows_prove_nothing_and_no_rows_leave_everything_open() -> None:
    members = np.array([0, 0, 0])
    gains = fit_gains(np.array([[1.0, 0.0]] * 3), members, 2)
    assert gains.gain[0, 0, 1] + gains.half[0, 0, 1] > 0
    assert gains.gain[1, 0, 1] == 0
    assert gains.half[1, 0, 1] == 2


def test_many_rows_on_which_climbing_loses_prove_it() -> None:
    gains = fit_gains(np.array([[1.0, 0.0], [1.0, 1.0]] * 30), np.zeros(60, dtype=np.int64), 1)
    assert gains.gain[0, 0, 1] + gains.half[0, 0, 1] < 0


def test_the_interval_holds_the_truth_in_19_of_20_clusters() -> None:
    random = np.random.default_rng(0)
    small, large = random.random((2, 400, 60)) < [[[0.3]], [[0.6]]]
    scores = np.stack([small.ravel(), large.ravel()], axis=1).astype(float)
    gains = fit_gains(scores, np.repeat(np.arange(400), 60), 400)
    covered = np.abs(gains.gain[:-1, 0, 1] - 0.3) <= gains.half[:-1, 0, 1]
    assert 0.93 < covered.mean() < 0.99


def test_between_clusters_gains_are_mixed_and_strange_requests_have_the_one_over_all() -> None:
    scores = np.repeat([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], 100, axis=0)
    gains = fit_gains(scores, np.repeat([0, 1], 100), 2)
    clusters, weights = np.array([[0, 1], [0, 1]]), np.array([[0.75, 0.25], [0.75, 0.25]])
    columns = np.array([1, 0])
    found = gains.intervals(clusters, weights, np.array([1.0, 0.0]), columns)
    assert found.shape == (2, 2, 2, 3)
    assert found[0, 1, 0, 0] == pytest.approx(0.75 * gains.gain[0, 0, 1] + 0.25 * gains.gain[1, 0, 1])
    assert found[1, 1, 0, 0] == pytest.approx(gains.gain[2, 0, 1])
    assert (found[..., 1] <= found[..., 0]).all()
    assert (found[..., 0] <= found[..., 2]).all()
    assert np.abs(found).max() <= 1
