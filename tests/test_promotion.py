"""Promotion: a better or an equal state replaces the one that serves, a worse one never does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.eval.promotion import EPSILON, MIN_ROWS, SLACK, ServedRows, compare_states

N = 400
NO_RATE = np.zeros(N)
RANDOM = np.random.default_rng(0)
SCORES = (RANDOM.random((N, 2)) < [0.5, 0.9]).astype(float)
COSTS = np.tile([1e-5, 1e-3], (N, 1))


def served(columns: np.ndarray, scores: np.ndarray = SCORES) -> ServedRows:
    """What comes of choosing these columns."""
    rows = np.arange(len(columns))
    paths = tuple(("small", "large")[column] for column in columns)
    return ServedRows(paths, scores[rows, columns], COSTS[rows, columns])


SMALL, LARGE = served(np.zeros(N, dtype=np.int64)), served(np.ones(N, dtype=np.int64))


def test_choices_become_paths_scores_and_costs() -> None:
    assert set(SMALL.paths) == {"small"}
    np.testing.assert_array_equal(LARGE.quality, SCORES[:, 1])
    np.testing.assert_array_equal(SMALL.usd, COSTS[:, 0])


def test_a_better_state_is_promoted_and_a_worse_one_is_not() -> None:
    better, worse = compare_states(SMALL, LARGE, NO_RATE), compare_states(LARGE, SMALL, NO_RATE)
    gap = float(SCORES[:, 1].mean() - SCORES[:, 0].mean())
    assert (better.is_promoted, worse.is_promoted) == (True, False)
    assert better.gain.value == pytest.approx(gap)
    assert worse.gain.value == pytest.approx(-gap)
    assert better.gain.low < gap < better.gain.high
    assert better.extra_usd_per_1k == pytest.approx(0.99)
    assert (better.rows, better.differing, better.unknown) == (N, N, 0)
    assert "no worse" in better.why
    assert f"may be worse by more than {EPSILON}" in worse.why


def test_what_quality_costs_counts_at_the_policys_rate() -> None:
    assert not compare_states(SMALL, LARGE, np.full(N, 1000.0)).is_promoted
    assert compare_states(LARGE, SMALL, np.full(N, 1000.0)).is_promoted


def test_a_state_that_does_the_same_is_promoted_even_where_nobody_knows_how_good_that_is() -> None:
    unknown = ServedRows(("small",) * N, np.full(N, np.nan), np.full(N, np.nan))
    verdict = compare_states(unknown, unknown, NO_RATE)
    assert (verdict.is_promoted, verdict.gain.value, verdict.differing) == (True, 0.0, 0)


def test_rows_that_differ_and_are_not_known_are_left_out_and_counted() -> None:
    gaps = SCORES.copy()
    gaps[: N // 2, 1] = np.nan
    verdict = compare_states(SMALL, served(np.ones(N, dtype=np.int64), gaps), NO_RATE)
    assert (verdict.rows, verdict.unknown) == (N // 2, N // 2)
    assert verdict.gain.value == pytest.approx(float((SCORES[N // 2 :, 1] - SCORES[N // 2 :, 0]).mean()))


@pytest.mark.parametrize("known", [0, MIN_ROWS - 1])
def test_too_few_rows_prove_nothing(known: int) -> None:
    gaps = SCORES.copy()
    gaps[known:, 1] = np.nan
    verdict = compare_states(SMALL, served(np.ones(N, dtype=np.int64), gaps), NO_RATE)
    assert (verdict.is_promoted, verdict.rows) == (False, known)
    assert verdict.why == f"{known} rows can be compared, expected at least {MIN_ROWS}"


def test_a_small_but_sure_loss_is_no_promotion() -> None:
    quality = np.full(N, 0.5)
    lost = ServedRows(("b",) * N, quality - 2 * SLACK, np.zeros(N))
    verdict = compare_states(ServedRows(("a",) * N, quality, np.zeros(N)), lost, NO_RATE)
    assert verdict.gain.low > -EPSILON
    assert (verdict.is_promoted, f"worse by more than {SLACK} on average" in verdict.why) == (False, True)


def test_rows_of_one_prompt_are_drawn_together() -> None:
    alone = compare_states(SMALL, LARGE, NO_RATE)
    copies = np.repeat(np.arange(20), 20)
    scores = np.repeat(SCORES[:20], 20, axis=0)
    groups = [f"g{i}" for i in copies.tolist()]
    zeros, ones = np.zeros(N, dtype=np.int64), np.ones(N, dtype=np.int64)
    grouped = compare_states(served(zeros, scores), served(ones, scores), NO_RATE, groups=groups)
    width, wide = alone.gain.high - alone.gain.low, grouped.gain.high - grouped.gain.low
    assert wide > 2 * width


def test_the_same_rows_give_the_same_verdict() -> None:
    assert compare_states(SMALL, LARGE, NO_RATE, seed=3) == compare_states(SMALL, LARGE, NO_RATE, seed=3)


@given(st.integers(0, 2**32 - 1), st.floats(0, 500))
def test_swapping_the_two_turns_the_gain_round_and_both_are_never_promoted_unless_near(
    seed: int, rate: float
) -> None:
    random = np.random.default_rng(seed)
    a, b = (served(random.integers(0, 2, N)) for _ in range(2))
    there, back = (compare_states(x, y, np.full(N, rate), draws=50) for x, y in ((a, b), (b, a)))
    assert there.gain.value == pytest.approx(-back.gain.value)
    assert there.gain.low == pytest.approx(-back.gain.high)
    if there.is_promoted and back.is_promoted:
        assert abs(there.gain.value) <= SLACK
