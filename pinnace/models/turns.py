"""Turns: who runs together and who runs alone, in order of arrival. Knows nothing of what runs."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_Place = tuple["asyncio.Future[None]", object | None]


class Turns:
    """Many may run together; one that must be alone waits for all before it, and all after it wait for it."""

    def __init__(self) -> None:
        self.running = 0
        self._alone: object | None = None
        self._waiting: deque[_Place] = deque()

    @asynccontextmanager
    async def turn(self, *, alone: bool = False, alone_s: float = 30.0) -> AsyncGenerator[None, None]:
        """Hold a turn, alone for at most `alone_s` seconds: after that others join."""
        me = object() if alone else None
        await self._enter(me)
        timer = asyncio.get_running_loop().call_later(alone_s, self._open, me) if alone else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self.running -= 1
            self._open(me)

    async def _enter(self, me: object | None) -> None:
        if not self._waiting and self._may_run(me):
            self._take(me)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, me))
        try:
            await place
        except asyncio.CancelledError:
            self._give_up(place, me)
            raise

    def _give_up(self, place: asyncio.Future[None], me: object | None) -> None:
        """Undo a wait that was cancelled: in the queue, or in the moment after the turn was given."""
        if not place.cancelled():
            self.running -= 1
        self._open(me)

    def _may_run(self, me: object | None) -> bool:
        return self._alone is None and not (me is not None and self.running)

    def _take(self, me: object | None) -> None:
        self.running += 1
        self._alone = me

    def _open(self, me: object | None) -> None:
        """Let others in, as far as it was `me` who kept them out."""
        if me is not None and self._alone is me:
            self._alone = None
        self._call_next()

    def _call_next(self) -> None:
        while self._waiting:
            place, me = self._waiting[0]
            if not place.done() and not self._may_run(me):
                return
            self._waiting.popleft()
            if not place.done():
                self._take(me)
                place.set_result(None)
