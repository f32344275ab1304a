"""Rate limits of one API key: requests and tokens a minute, as buckets that fill up evenly.

Knows how OpenAI names them in headers, and nothing of whose they are.
"""

import math
import time
from collections.abc import Callable, Iterator

from pinnace.server.envelope import Header, RefusedError, refused

MINUTE_S = 60.0


class Bucket:
    """Holds at most `per_minute`, and fills up at that pace."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._at = clock()

    def level(self) -> float:
        """What can be taken now."""
        now = self._clock()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / MINUTE_S)
        self._at = now
        return self._level

    def take(self, amount: int) -> bool:
        """Take `amount` if it is there."""
        if self.level() < amount:
            return False
        self._level -= amount
        return True

    def seconds_until(self, amount: float) -> float:
        """Seconds until `amount` is there; 0 where it is there now."""
        return max(0.0, amount - self.level()) * MINUTE_S / self.per_minute


class RateLimits:
    """The buckets of one key; None does not bind."""

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = None if requests_per_minute is None else Bucket(requests_per_minute, clock)
        self._tokens = None if tokens_per_minute is None else Bucket(tokens_per_minute, clock)

    def are_like(self, other: "RateLimits") -> bool:
        """Whether `other` binds as much."""
        return [*self._bounds()] == [*other._bounds()]

    def _bounds(self) -> Iterator[int | None]:
        for bucket in (self._requests, self._tokens):
            yield None if bucket is None else bucket.per_minute

    def take_request(self) -> None:
        """Count one request.

        :raises RefusedError: 429 where there are too many, with when to come back.
        """
        if self._requests is not None:
            _take(self._requests, 1, "requests")

    def take_tokens(self, tokens: int) -> None:
        """Count what a request may take; more than a minute's worth is never let in.

        :raises RefusedError: 429 where it is too much, with when to come back if ever.
        """
        if self._tokens is not None:
            _take(self._tokens, tokens, "tokens")

    def headers(self) -> list[Header]:
        """`x-ratelimit-*` as OpenAI names them, of the limits that there are."""
        found: list[Header] = []
        for what, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is not None:
                found += _headers(what, bucket)
        return found


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes them in these headers: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.4g}s"


def _take(bucket: Bucket, amount: int, what: str) -> None:
    if not bucket.take(amount):
        raise _too_many(bucket, amount, what)


def _too_many(bucket: Bucket, amount: int, what: str) -> RefusedError:
    limit = bucket.per_minute
    if amount > limit:
        message = f"The request is too large for this key: {amount} {what} of at most {limit} a minute."
        return refused(429, message, code="rate_limit_exceeded", headers=((b"x-should-retry", b"false"),))
    wait = bucket.seconds_until(amount)
    message = f"Rate limit reached for this key: {limit} {what} a minute. Try again in {duration(wait)}."
    return refused(429, message, code="rate_limit_exceeded", retry_after=max(1, math.ceil(wait)))


def _headers(what: str, bucket: Bucket) -> list[Header]:
    values = {
        f"x-ratelimit-limit-{what}": str(bucket.per_minute),
        f"x-ratelimit-remaining-{what}": str(int(bucket.level())),
        f"x-ratelimit-reset-{what}": duration(bucket.seconds_until(bucket.per_minute)),
    }
    return [(name.encode(), value.encode()) for name, value in values.items()]
