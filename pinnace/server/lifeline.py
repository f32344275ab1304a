"""Lifelines: what a request's work hangs on, cut when nobody is left to answer.

A lifeline is cut when the client goes away or the server stops; the work under it is then cancelled
where it waits, whether it was sending or not. Knows nothing of what the work is.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import Receive

from pinnace.server.envelope import ClientGoneError, Envelope, RefusedError


class Lifeline:
    """One request's. Holds once `Lifelines.hold` holds it; `reason` is why it was cut, if it was."""

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self.timer: asyncio.Timeout | None = None

    def cut(self, reason: Exception) -> None:
        """Cancel the work; `reason` is raised where the lifeline was held. Only the first cut counts."""
        if self.reason is None and self.timer is not None:
            self.reason = reason
            self.timer.reschedule(0)

    @asynccontextmanager
    async def watching(self, receive: Receive) -> AsyncGenerator[None, None]:
        """Cut when the client goes away during the block. The request's body must have been read."""
        watcher = asyncio.create_task(self._watch(receive))
        try:
            yield
        finally:
            watcher.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut(ClientGoneError("the client closed the connection"))


class Lifelines:
    """Those of all requests in the house."""

    def __init__(self) -> None:
        self._held: set[Lifeline] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._held)

    @asynccontextmanager
    async def hold(self, lifeline: Lifeline) -> AsyncGenerator[None, None]:
        """Run the block on a new lifeline; raises the reason when it was cut."""
        self._held.add(lifeline)
        self._empty.clear()
        try:
            async with asyncio.timeout(None) as lifeline.timer:
                yield
        except TimeoutError:
            if lifeline.reason is None:
                raise
            raise lifeline.reason from None
        finally:
            lifeline.timer = None
            self._let_go(lifeline)

    def cut_all(self, refusal: Envelope) -> None:
        """Cut every lifeline there is now; their clients are told `refusal`."""
        for lifeline in self._held:
            lifeline.cut(RefusedError(refusal))

    async def wait_empty(self) -> None:
        """Wait until no request is left."""
        await self._empty.wait()

    def _let_go(self, lifeline: Lifeline) -> None:
        self._held.discard(lifeline)
        if not self._held:
            self._empty.set()
