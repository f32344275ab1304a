"""Watching requests: each one's sight is kept while it is served, and told to metrics, traces and the log.

Knows what is watched and when, and not how any of it is written down.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

from starlette.types import Scope

from pinnace.models.completion import Request
from pinnace.router.answer import Attempt, Committed
from pinnace.router.route import Route
from pinnace.server.exchange import Exchange
from pinnace.server.loop_lag import watching_the_loop
from pinnace.server.metrics import Metrics
from pinnace.server.request_log import log_request
from pinnace.server.sight import in_sight, sight_now
from pinnace.server.tracing import NO_TRACING, Tracing, incoming, incoming_state

_CACHE = b"x-pinnace-cache"


class Watch:
    """Sees every request that is asked for an answer. It is the dispatcher's `Watcher` too."""

    def __init__(self, metrics: Metrics, tracing: Tracing = NO_TRACING) -> None:
        self._metrics = metrics
        self._tracing = tracing

    @contextmanager
    def over(self, exchange: Exchange, scope: Scope) -> Generator[None, None, None]:
        """Watch a request while it is served: what happens in the block is seen as part of it."""
        if scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            yield
            return
        sight = exchange.sight
        sight.is_watched = True
        exchange.gaps = self._metrics.gaps
        sight.trace_parent = self._tracing.begin(sight, incoming(scope["headers"]))
        sight.trace_state = incoming_state(scope["headers"]) if sight.trace_parent else ""
        try:
            with in_sight(sight):
                yield
        finally:
            sight.path = scope["path"] if "endpoint" in scope else "unknown"

    def finished(self, exchange: Exchange, code: int) -> None:
        """It is over; `code` is what it was answered with. What asked for no answer is not told of."""
        sight = exchange.sight
        if not sight.is_watched:
            return
        sight.cache = next((value.decode() for name, value in exchange.also if name == _CACHE), "")
        self._metrics.finished(sight, exchange.model, code)
        self._tracing.end(sight, exchange.model, code)
        log_request(exchange.id, sight, exchange.model, code)

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None, None]:
        """Watch the event loop during the block, and write what traces are left after it."""
        try:
            async with watching_the_loop(self._metrics.loop_lag):
                yield
        finally:
            await asyncio.to_thread(self._tracing.close)

    def routed(self, request: Request, route: Route, model: str) -> None:
        """See `pinnace.router.watcher`."""
        self._metrics.routed(route)
        if (sight := sight_now()) is not None:
            sight.request, sight.route, sight.asked = request, route, model

    def served(self, attempts: Sequence[Attempt], committed: Committed | None) -> None:
        """See `pinnace.router.watcher`."""
        self._metrics.served(attempts, committed)
        if (sight := sight_now()) is not None:
            sight.attempts = (*sight.attempts, *attempts)
