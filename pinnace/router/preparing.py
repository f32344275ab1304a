"""Preparing: what a policy picks for a fleet, and what exploring over it costs, picked beside the event loop.

A fleet is new at the start, when a member goes away or comes back, and for a key that may use only some. Who
asks first waits for a thread; everybody else goes on. Knows nothing of requests.
"""

import asyncio
from collections.abc import Sequence

from pinnace.models.card import ModelCard
from pinnace.router.explorer import Explorer
from pinnace.router.planner import FleetKey, Planner, key_of


class Preparing:
    """Prepares `planner`, and `explorer` where there is one, once for each fleet."""

    def __init__(self, planner: Planner, explorer: Explorer | None) -> None:
        self._planner = planner
        self._explorer = explorer
        self._under_way: dict[FleetKey, asyncio.Task[None]] = {}

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Pick everything now; the log says what."""
        self._planner.prepare(cards)
        if self._explorer is not None:
            self._explorer.cost(cards)

    async def ready(self, cards: Sequence[ModelCard]) -> None:
        """Wait until everything is picked; whoever waits may leave."""
        if self._is_prepared(cards):
            return
        key = key_of(cards)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(asyncio.to_thread(self.prepare, cards))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        await asyncio.shield(task)

    def _is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        explorer = self._explorer
        return self._planner.is_prepared(cards) and (explorer is None or explorer.is_prepared(cards))
