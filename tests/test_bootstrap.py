"""The bootstrap: what is drawn, that clusters stay whole, and that intervals mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.eval.bootstrap import Interval, draw_weights, in_blocks, interval, mean_draws, paired_interval


@given(st.integers(1, 50), st.integers(0, 2**31))
def test_each_draw_has_as_many_rows_as_the_table(n, seed):
    weights = draw_weights(n, 5, seed)
    assert weights.shape == (5, n)
    assert weights.dtype == np.float32
    assert (weights == np.rint(weights)).all()
    assert (weights.sum(axis=1) == n).all()


def test_a_seed_gives_the_same_draws_and_another_gives_others():
    assert (draw_weights(100, 3, seed=1) == draw_weights(100, 3, seed=1)).all()
    assert (draw_weights(100, 3, seed=1) != draw_weights(100, 3, seed=2)).any()


def test_rows_of_a_group_are_drawn_together():
    groups = ["b", "a", "b", "c", "a"]
    weights = draw_weights(5, 200, seed=0, groups=groups)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] != weights[:, 1]).any()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (draw_weights(5, 200, seed=0, groups=np.array([7, 3, 7, 9, 3])) == weights).all()


def test_groups_of_one_row_are_the_plain_bootstrap():
    plain = draw_weights(4, 6, seed=0)
    assert (draw_weights(4, 6, seed=0, groups=np.arange(4)) == plain).all()


@pytest.mark.parametrize("shape", [(7,), (7, 3)])
def test_mean_draws_are_the_means_of_the_repeated_rows(shape):
    values = np.random.default_rng(0).random(shape)
    weights = draw_weights(7, 9, seed=0)
    expected = [np.repeat(values, row, axis=0).mean(axis=0) for row in weights.astype(int)]
    np.testing.assert_allclose(mean_draws(values, weights), expected)


def test_blocks_neither_lose_nor_repeat_a_draw():
    weights = np.arange(70.0).reshape(10, 7)
    for cells in (1, 7, 21, 1000):
        assert in_blocks(lambda block: block[:, 0], weights, cells).tolist() == weights[:, 0].tolist()


def test_the_spread_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    draws = mean_draws(values, draw_weights(400, 4000, seed=0))
    # Four thousand draws know a spread to about 1/sqrt(8000), one percent.
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.05)
    found = interval(float(values.mean()), draws)
    assert found.low == pytest.approx(found.value - 1.96 * values.std() / 20, abs=0.01)
    assert found.high == pytest.approx(found.value + 1.96 * values.std() / 20, abs=0.01)


def test_an_interval_is_made_of_quantiles_of_the_draws_that_are_defined():
    draws = np.append(np.arange(101.0), np.nan)
    assert interval(50.0, draws, confidence=0.9) == Interval(50.0, pytest.approx(5), pytest.approx(95))
    nothing = interval(0.5, np.full(3, np.nan))
    assert nothing.value == 0.5
    assert np.isnan([nothing.low, nothing.high]).all()


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=500)
    better, worse = shared + 0.1 + 0.05 * rng.normal(size=500), shared
    weights = draw_weights(500, 1000, seed=0)
    a, b = mean_draws(better, weights), mean_draws(worse, weights)
    gain = float(better.mean() - worse.mean())
    paired = paired_interval(a, b, value=gain)
    unpaired = paired_interval(a, np.roll(b, 1), value=gain)
    assert 0 < paired.low < gain < paired.high
    assert paired.high - paired.low < 0.2 * (unpaired.high - unpaired.low)
