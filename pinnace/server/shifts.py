"""Shifts: an application and its dispatcher serve until they are relieved, and finish what they began.

A request is served whole by the shift that was on when it came. Knows nothing of why a shift is relieved.
"""

import asyncio
import logging
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from pinnace.config import Server
from pinnace.router.dispatch import Dispatcher
from pinnace.router.renewal import retire
from pinnace.server.app import App

log = logging.getLogger(__name__)


class Shift:
    """One of them, and how many requests it has."""

    def __init__(self, app: App, dispatcher: Dispatcher) -> None:
        self.app = app
        self.dispatcher = dispatcher
        self.requests = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.requests += 1
        self._is_empty.clear()
        try:
            await self.app(scope, receive, send)
        finally:
            self.requests -= 1
            if not self.requests:
                self._is_empty.set()

    async def wait_empty(self) -> None:
        """Wait until no request is left; none must come any more."""
        await self._is_empty.wait()


class Front:
    """The ASGI application that is listened with: hands every request to the shift that is on.

    `tell` hears of the configuration of each new one.
    """

    def __init__(self, app: App, dispatcher: Dispatcher) -> None:
        self.on = Shift(app, dispatcher)
        self.tell: Callable[[Server], None] = _to_nobody
        self._leaving: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.on.serve(scope, receive, send)

    def relieve(self, app: App, dispatcher: Dispatcher, config: Server) -> None:
        """Put the next shift on, at once; the one before gives back its own after its last request."""
        app.standing.renew(dispatcher, config)
        self.tell(config)
        old, self.on = self.on, Shift(app, dispatcher)
        self._leaving = asyncio.create_task(self._leave(old, self.on, self._leaving))

    async def drain(self) -> None:
        """Give everything back: of the shifts that leave, and of the one that is on."""
        if self._leaving is not None:
            await asyncio.gather(self._leaving, return_exceptions=True)
        await self.on.dispatcher.drain()

    async def _leave(self, old: Shift, after: Shift, earlier: "asyncio.Task[None] | None") -> None:
        """In order, since what a shift shares with the next one may end with that one."""
        if earlier is not None:
            await asyncio.gather(earlier, return_exceptions=True)
        await old.wait_empty()
        log.info("reload: the last request of the old configuration is over")
        try:
            await retire(old.dispatcher, beside=after.dispatcher)
        except Exception:  # the edge of this task: what is new serves, whatever the old one ends with
            log.exception("reload: the old configuration did not end well")


def _to_nobody(config: Server) -> None:
    """Nobody listens with it."""
