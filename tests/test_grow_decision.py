"""The bar and the gain of a specialist: what is certified, and when it is registered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from pinnace.eval.bootstrap import Interval
from pinnace.eval.grow.decision import Bar, certified_bar, decide, gain_per_cost

SURE = Bar(0.5, 0.8, 0.99)


def test_a_bar_leaves_no_more_losses_than_are_certified() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(1_000)
    right = (random.random(1_000) < confidence).astype(float)
    bar = certified_bar(confidence, right, np.ones(1_000))
    assert bar is not None
    stands = confidence >= bar.least
    lost = int((1 - right)[stands].sum())
    assert beta.ppf(0.95, lost + 1, 1_000 - lost) <= 0.03
    assert (stands.mean(), 1 - lost / 1_000) == pytest.approx((bar.share, bar.kept))
    lower = np.sort(confidence[~stands])[-1]
    more = int((1 - right)[confidence >= lower].sum())
    assert beta.ppf(0.95, more + 1, 1_000 - more) > 0.03


@given(st.integers(1, 400), st.integers(0, 3), st.floats(0.5, 0.999))
def test_a_bar_keeps_what_it_promises_on_its_own_rows(n: int, seed: int, keep: float) -> None:
    random = np.random.default_rng(seed)
    confidence, scores = np.round(random.random(n), 1), (random.random(n) < 0.8).astype(float)
    bar = certified_bar(confidence, scores, np.ones(n), keep)
    if bar is not None:
        assert bar.kept >= keep
        assert bar.share == pytest.approx((confidence >= bar.least).mean())


def test_one_that_is_always_right_needs_no_bar() -> None:
    bar = certified_bar(np.linspace(0.2, 1, 200), np.ones(200), np.ones(200))
    assert bar == Bar(0.0, 1.0, 1.0)


def test_too_few_rows_certify_nothing() -> None:
    assert certified_bar(np.ones(60), np.ones(60), np.ones(60)) is None
    assert certified_bar(np.zeros(0), np.zeros(0), np.zeros(0)) is None


def test_wins_over_the_teacher_do_not_pay_for_losses() -> None:
    confidence = np.linspace(1, 0, 300)
    scores, teacher = np.ones(300), np.ones(300)
    scores[:30], teacher[30:60] = 0.0, 0.0
    bar = certified_bar(confidence, scores, teacher)
    assert bar is not None
    assert bar.share <= 4 / 300


def test_a_gain_is_quality_won_and_usd_saved_at_the_exchange_rate() -> None:
    before, after = np.array([1.0, 1.0]), np.array([1.0, 0.0])
    usd = np.array([0.02, 0.02]), np.array([0.0, 0.0])
    gain = gain_per_cost((before, after), usd, np.array([25.0, 25.0]))
    assert gain.value == pytest.approx((0.5 - 0.5) / 0.04)
    assert gain.low == pytest.approx(-0.5 / 0.02)
    assert gain_per_cost((before, after), (usd[1], usd[1]), np.ones(2)) == Interval(0, 0, 0)


@pytest.mark.parametrize(
    ("bar", "gain", "is_registered", "why"),
    [
        (SURE, Interval(12.0, 3.0, 20.0), True, "gain per USD 12 (3 to 20)"),
        (SURE, Interval(12.0, 0.0, 20.0), False, "its lower bound is not above 0"),
        (SURE, Interval(12.0, float("nan"), 20.0), False, "its lower bound is not above 0"),
        (None, None, False, "no bar of its gate is certified to keep 97% of the teacher's quality"),
    ],
)
def test_only_what_gains_surely_is_registered(
    bar: Bar | None, gain: Interval | None, is_registered: bool, why: str
) -> None:
    verdict = decide(bar, gain)
    assert verdict.is_registered is is_registered
    assert why in verdict.why
