"""Answers that are told again: the response cache in front of the fleet, and what the ledger hears of it.

Knows the cache, the dispatcher and the headers that say `hit` or `miss`; nothing of any wire.
"""

import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from pinnace.models.completion import Request
from pinnace.router.cached_row import cached_row
from pinnace.router.dispatch import Dispatcher
from pinnace.server.exchange import Exchange
from pinnace.server.response_cache import HIT, MISS, Events, Kept, ResponseCache, key_of


class Retold:
    """Tells kept answers again, and has new ones kept."""

    def __init__(self, dispatcher: Dispatcher, cache: ResponseCache) -> None:
        self.cache = cache
        self._dispatcher = dispatcher
        self._state: tuple[object, str] = (None, "")

    @asynccontextmanager
    async def events(
        self,
        exchange: Exchange,
        request: Request,
        model: str,
        live: AbstractAsyncContextManager[Events],
        *,
        is_stream: bool,
    ) -> AsyncGenerator[Events, None]:
        """The events of a kept answer, or of `live`, which is entered only where it is needed."""
        began = time.perf_counter()
        key = key_of(request, model, self._state_name(), is_stream=is_stream)
        kept = await self.cache.find(key)
        if kept is None:
            exchange.also.append(MISS)
            async with self.cache.keeping(key, request, live) as events:
                yield events
            return
        exchange.also.append(HIT)
        async with aclosing(kept.replay()) as events:
            yield events
        self._note(request, model, kept, time.perf_counter() - began)

    def _note(self, request: Request, model: str, kept: Kept, total_s: float) -> None:
        """One row in the ledger: an answer that cost nothing."""
        ledger = self._dispatcher.ledger
        if ledger is not None:
            is_kept = ledger.store_text and not request.private
            text = "".join(d.text for d in kept.deltas if d.index == 0) if is_kept else None
            ledger.add(cached_row(request, model, kept.committed, kept.answered, text, total_s))

    def _state_name(self) -> str:
        """What tells the router's state from another."""
        state = self._dispatcher.router.state
        if self._state[0] is not state:
            provenance = repr(getattr(state, "provenance", ""))
            self._state = (state, hashlib.sha256(provenance.encode()).hexdigest())
        return self._state[1]
