"""Bounded admission: how much may run at once, how much may wait, and what is refused.

The whole server's places (`pinnace.models.places`), and what is said to who finds none. Knows nothing of what
the requests are.
"""

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from pinnace.config import Server
from pinnace.models.places import INTERACTIVE, Places, PlacesFullError
from pinnace.server.envelope import Envelope, RefusedError, refused
from pinnace.server.sight import note_wait

LONGEST_WAIT_S = 60
_MEMORY = 0.9


class Admission:
    """Runs at most `max_running` requests of at most `max_tokens` together; `max_queue` more may wait.

    Interactive requests before batch ones, each first come, first served; a large request at the head of its
    queue is not overtaken by its own class. One that is larger than `max_tokens` by itself runs alone.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_tokens: int,
        max_queue: int,
        batch_share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_running = max_running
        self.max_tokens = max_tokens
        self.max_queue = max_queue
        self._places = Places(
            max_running=max_running,
            max_tokens=max_tokens,
            max_waiting=max_queue,
            batch_share=batch_share,
            clock=clock,
        )
        self._clock = clock
        self._service_s: float | None = None
        self._closed: Envelope | None = None

    @classmethod
    def from_config(cls, config: Server) -> "Admission":
        """The bounds of `router.yaml`."""
        return cls(
            max_running=config.max_running,
            max_tokens=config.max_tokens_in_flight,
            max_queue=config.max_queue,
            batch_share=config.batch_share,
        )

    def resize(self, config: Server) -> None:
        """Go on under the bounds of another `router.yaml`; who runs and waits stays."""
        self.max_running = config.max_running
        self.max_tokens = config.max_tokens_in_flight
        self.max_queue = config.max_queue
        self._places.resize(
            max_running=config.max_running,
            max_tokens=config.max_tokens_in_flight,
            max_waiting=config.max_queue,
            batch_share=config.batch_share,
        )

    @property
    def running(self) -> int:
        """How many run."""
        return self._places.running

    @property
    def tokens(self) -> int:
        """The tokens that they may take."""
        return self._places.tokens

    @property
    def queued(self) -> int:
        """How many wait."""
        return self._places.waiting

    def close(self, refusal: Envelope) -> None:
        """Refuse whatever comes from now on with `refusal`; who is in, waiting ones too, is served."""
        self._closed = refusal

    def is_closed(self) -> bool:
        """Whether everything is refused."""
        return self._closed is not None

    def check(self, priority: int = INTERACTIVE) -> None:
        """Raise what a request arriving now would be refused with, if it would.

        :raises RefusedError: 503 once closed, 429 while the queue is full.
        """
        if self._closed is not None:
            raise RefusedError(self._closed)
        if self._places.has_queue() and self._places.is_full(priority):
            raise self._queue_is_full()

    @asynccontextmanager
    async def slot(self, tokens: int, priority: int = INTERACTIVE) -> AsyncGenerator[None, None]:
        """Hold a place for a request of `tokens`, waiting for it where it must.

        :raises RefusedError: 503 once closed, 429 when the queue is full.
        """
        if self._closed is not None:
            raise RefusedError(self._closed)
        asked = self._clock()
        try:
            taken = await self._places.enter(tokens, priority)
        except PlacesFullError:
            raise self._queue_is_full() from None
        began = self._clock()
        note_wait(began - asked)
        try:
            yield
        finally:
            self._remember(self._clock() - began)
            self._places.leave(taken, priority)

    def retry_after(self) -> int:
        """Seconds until a place should be free: what waits and runs, at the pace of recent requests."""
        rounds = (self.queued + 1) / self.max_running
        return min(max(1, math.ceil(rounds * (self._service_s or 1.0))), LONGEST_WAIT_S)

    def _remember(self, service_s: float) -> None:
        past = service_s if self._service_s is None else self._service_s
        self._service_s = _MEMORY * past + (1 - _MEMORY) * service_s

    def _queue_is_full(self) -> RefusedError:
        message = f"The server is full: {self.running} requests run and {self.queued} wait."
        return refused(429, message, code="queue_full", retry_after=self.retry_after())
