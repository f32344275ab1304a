"""Sight: what is known of one request while it is served, for metrics, traces, log lines and headers.

Holds names, numbers and times, and the request for its parameters; whoever writes something down takes
no content from it. The sight of the request that is being served is found from anywhere in its task, so
that what is deep inside need not be handed it.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from pinnace.models.completion import Request
from pinnace.router.answer import Attempt
from pinnace.router.route import Route

NONE = "none"


@dataclass(slots=True)
class Sight:
    """One request as far as it has come. Times are seconds; `began` is on the clock of `perf_counter`.

    `is_watched` says whether its end is to be told of. `asked` is the model that the client named, once it is
    known to be one of ours. `queue_s` is the wait for a place, `first_s` the time to the first chunk of a
    stream, and `chunks` how many of them left. `cache` is what the response cache said, `hit` or `miss`.
    `trace_parent` and `trace_state` are what remote backends are told, and `span` the tracing's own.
    """

    began: float = field(default_factory=time.perf_counter)
    path: str = ""
    is_watched: bool = False
    request: Request | None = None
    asked: str = NONE
    route: Route | None = None
    attempts: tuple[Attempt, ...] = ()
    queue_s: float = 0.0
    first_s: float | None = None
    chunks: int = 0
    cache: str = ""
    trace_parent: str = ""
    trace_state: str = ""
    span: object = None

    @property
    def strategy(self) -> str:
        """The kind of the route; `cached` for an answer from the cache, `none` where no route was chosen."""
        if self.route is not None:
            return self.route.strategy
        return "cached" if self.cache == "hit" else NONE

    @property
    def cost_usd(self) -> float:
        """What all attempts cost."""
        return sum(attempt.cost_usd for attempt in self.attempts)

    @property
    def prompt_tokens(self) -> int:
        """Tokens that all attempts read."""
        return sum(attempt.usage.prompt_tokens for attempt in self.attempts)

    @property
    def completion_tokens(self) -> int:
        """Tokens that all attempts wrote."""
        return sum(attempt.usage.completion_tokens for attempt in self.attempts)

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.began

    def overhead(self, attempts: Sequence[Attempt] | None = None) -> float:
        """Seconds so far in which no backend worked on it: `elapsed`, less the wait for backends."""
        waited = sum(a.times.waited_s for a in (self.attempts if attempts is None else attempts))
        return max(self.elapsed() - waited, 0.0)


_now: ContextVar[Sight | None] = ContextVar("sight", default=None)


@contextmanager
def in_sight(sight: Sight) -> Generator[None, None, None]:
    """Serve a request during the block."""
    token = _now.set(sight)
    try:
        yield
    finally:
        _now.reset(token)


def sight_now() -> Sight | None:
    """The sight of the request that is being served, if one is."""
    return _now.get()


def traced(request: Request) -> Request:
    """`request` with what remote backends are told of the trace that it belongs to, if there is one."""
    sight = _now.get()
    if sight is None or not sight.trace_parent:
        return request
    found = {"traceparent": sight.trace_parent, "tracestate": sight.trace_state}
    return replace(request, trace_headers=tuple((name, value) for name, value in found.items() if value))


def note_wait(seconds: float) -> None:
    """The request that is being served waited so long for its place."""
    sight = _now.get()
    if sight is not None:
        sight.queue_s += seconds
