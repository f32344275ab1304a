"""Deadlines of requests: one moment each, counted from arrival, which nothing puts off.

The configuration gives every request so long, and the client may ask for less with `x-pinnace-timeout-s`.
Until a request's route runs, its work is cut at that moment; from then on the cascade keeps the deadline,
since it may have an answer in hand, and the cut only helps where that hangs on a client that does not read.
"""

import asyncio
import math
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from pinnace.errors import DeadlineExceededError, RequestError
from pinnace.models.completion import Request
from pinnace.server.envelope import Header
from pinnace.server.lifeline import Lifeline

TIMEOUT_HEADER = b"x-pinnace-timeout-s"
GRACE_S = 2.0
"""How long after the deadline an answer in hand may take to be sent."""
_LONGEST_SHOWN = 64


class Deadline:
    """One request's: cuts `lifeline` at `at`, a moment of `time.monotonic`, or `GRACE_S` after it."""

    def __init__(self, at: float, seconds: float, lifeline: Lifeline) -> None:
        self.at = at
        self._seconds = seconds
        self._lifeline = lifeline
        self._is_running = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(at - time.monotonic(), self._ring)

    def run(self) -> None:
        """The route runs: whoever runs it keeps the deadline."""
        self._is_running = True

    def close(self) -> None:
        """The request is over."""
        self._timer.cancel()

    def _ring(self) -> None:
        if self._is_running:
            self._is_running = False
            self._timer = self._loop.call_later(GRACE_S, self._ring)
        else:
            message = f"The request was not answered within {self._seconds:g} s."
            self._lifeline.cut(DeadlineExceededError(message))


_now: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(lifeline: Lifeline, headers: Iterable[Header], most_s: float) -> Generator[None, None, None]:
    """Bound what is done in the block.

    :param most_s: seconds that any request may take.
    :raises RequestError: where the client's header is no number of seconds.
    """
    seconds = seconds_of(headers, most_s)
    found = Deadline(time.monotonic() + seconds, seconds, lifeline)
    token = _now.set(found)
    try:
        yield
    finally:
        _now.reset(token)
        found.close()


def bounded(request: Request) -> Request:
    """`request` with the deadline of now, where there is one."""
    found = _now.get()
    return request if found is None else replace(request, deadline=found.at)


def leave_to_cascade() -> None:
    """From here on the deadline is kept by whoever runs the request's route."""
    if (found := _now.get()) is not None:
        found.run()


def seconds_of(headers: Iterable[Header], most_s: float) -> float:
    """Seconds that a request may take: what its header asks for, and at most `most_s`.

    :raises RequestError: where the header is not a number above 0.
    """
    for name, value in headers:
        if name == TIMEOUT_HEADER:
            return min(most_s, _parsed(value))
    return most_s


def _parsed(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if seconds > 0 and math.isfinite(seconds):
        return seconds
    name, got = TIMEOUT_HEADER.decode(), value.decode("latin-1")[:_LONGEST_SHOWN]
    message = f"{name}: expected a number of seconds above 0, got {got!r}"
    raise RequestError(message, param=name, code="invalid_value")
