"""Rate limits: buckets that fill evenly, and what the headers say of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.server.envelope import RefusedError
from pinnace.server.rate_limits import Bucket, RateLimits, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_what_it_has_and_fills_up_evenly() -> None:
    clock = Clock()
    bucket = Bucket(60, clock)
    assert bucket.take(60)
    assert not bucket.take(1)
    assert bucket.seconds_until(10) == pytest.approx(10)
    clock.now += 10
    assert bucket.take(10)
    assert not bucket.take(1)
    clock.now += 1000
    assert bucket.level() == 60


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=50))
def test_never_more_than_a_full_bucket_and_what_has_come_since(
    per_minute: int, steps: list[tuple[float, int]]
) -> None:
    clock, taken = Clock(), 0
    bucket = Bucket(per_minute, clock)
    for seconds, amount in steps:
        clock.now += seconds
        taken += amount if bucket.take(amount) else 0
        assert taken <= per_minute * (1 + clock.now / 60) + 1e-6
        assert 0 <= bucket.level() <= per_minute


def test_headers_are_named_as_openai_names_them() -> None:
    limits = RateLimits(10, 6000, Clock())
    limits.take_request()
    limits.take_tokens(1000)
    assert dict(limits.headers()) == {
        b"x-ratelimit-limit-requests": b"10",
        b"x-ratelimit-remaining-requests": b"9",
        b"x-ratelimit-reset-requests": b"6s",
        b"x-ratelimit-limit-tokens": b"6000",
        b"x-ratelimit-remaining-tokens": b"5000",
        b"x-ratelimit-reset-tokens": b"10s",
    }


def test_without_limits_nothing_binds_and_nothing_is_said() -> None:
    limits = RateLimits(None, None)
    for _ in range(100):
        limits.take_request()
        limits.take_tokens(10**9)
    assert limits.headers() == []


def test_when_to_come_back_is_when_there_is_enough() -> None:
    clock = Clock()
    limits = RateLimits(None, 600, clock)
    limits.take_tokens(600)
    with pytest.raises(RefusedError) as caught:
        limits.take_tokens(100)
    assert caught.value.envelope.retry_after == 10
    clock.now += 10
    limits.take_tokens(100)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0121, "13ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (61.5, "1m1.5s")],
)
def test_durations_read_as_openais(seconds: float, text: str) -> None:
    assert duration(seconds) == text
