"""Retries: a share of the traffic or a floor, random bounded waits, and what a server asks for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.config import Retries
from pinnace.models.retry_budget import SLOTS, RetryBudget, backoff_s, retry_after_s

SETTINGS = Retries()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_a_thousand_failures_get_two_hundred_retries() -> None:
    budget = RetryBudget(SETTINGS, lambda: 0.0)
    taken = 0
    for _ in range(1000):
        budget.asked()
        taken += budget.take()
    assert taken == 200


def test_a_quiet_backend_has_its_floor_and_gets_it_back() -> None:
    now = 0.0
    budget = RetryBudget(SETTINGS, lambda: now)
    budget.asked()
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    now = 9.0
    assert not budget.take()
    now = 10.0
    assert budget.take()


def test_without_share_and_floor_there_are_none() -> None:
    budget = RetryBudget(Retries(share=0, floor=0), lambda: 0.0)
    budget.asked()
    assert not budget.take()


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.integers(0, 10)), max_size=80),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_no_window_has_more_than_its_share_or_its_floor(
    steps: list[tuple[float, int, int]], share: float, floor: int
) -> None:
    now = 0.0
    budget = RetryBudget(Retries(share=share, floor=floor), lambda: now)
    asked: list[float] = []
    taken: list[float] = []
    for wait, requests, retries in steps:
        now += wait
        for _ in range(requests):
            budget.asked()
            asked.append(now)
        for _ in range(retries):
            if budget.take():
                taken.append(now)
                shortest = SETTINGS.window_s * (1 - 1 / SLOTS)
                inside = sum(then > now - shortest for then in taken)
                assert inside <= max(share * sum(then >= now - SETTINGS.window_s for then in asked), floor)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_are_random_below_a_bound_that_doubles(retry: int, chance: float) -> None:
    wait = backoff_s(retry, SETTINGS, chance)
    assert 0 <= wait <= SETTINGS.longest_s
    assert wait == pytest.approx(chance * min(SETTINGS.longest_s, SETTINGS.base_s * 2.0 ** min(retry, 20)))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Sun, 22 Nov 2026 12:00:05", 5.0),
        ("Sun, 99 Nov 2026 12:00:05 GMT", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text(max_size=70))
def test_any_retry_after_is_no_error(header: str) -> None:
    found = retry_after_s(header, NOW)
    assert found is None or found >= 0
