"""Waits grow, stay under their cap, differ, and are forgotten after a healthy time."""

import random

from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(first_s=1, cap_s=10, jitter=0)
    assert [backoff.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


@given(st.integers(0, 2**32), st.integers(1, 500))
def test_waits_are_positive_and_never_above_the_cap(seed: int, tries: int) -> None:
    backoff = Backoff(first_s=0.5, cap_s=30, random_state=random.Random(seed))
    assert all(0 < backoff.next_s() <= 30 for _ in range(tries))


def test_two_servers_do_not_wait_alike() -> None:
    first, second = (Backoff(random_state=random.Random(seed)) for seed in (1, 2))
    assert first.next_s() != second.next_s()


def test_only_a_healthy_time_makes_it_forget() -> None:
    backoff = Backoff(first_s=1, jitter=0, healthy_s=60)
    backoff.next_s()
    backoff.lived(59)
    assert backoff.next_s() == 2
    backoff.lived(60)
    assert backoff.next_s() == 1
