"""Bounded admission: how much may run at once, how much may wait, and what is refused.

Counts requests and tokens, in order of arrival. Knows nothing of HTTP or of what the requests are.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from pinnace.config import Server
from pinnace.server.envelope import Envelope, RefusedError, refused

LONGEST_WAIT_S = 60
_MEMORY = 0.9


class Admission:
    """Runs at most `max_running` requests of at most `max_tokens` together; `max_queue` more may wait.

    First come, first served: a large request at the head of the queue is not overtaken. One that is
    larger than `max_tokens` by itself runs alone.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_tokens: int,
        max_queue: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_running = max_running
        self.max_tokens = max_tokens
        self.max_queue = max_queue
        self.running = 0
        self.tokens = 0
        self._clock = clock
        self._service_s: float | None = None
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._closed: Envelope | None = None

    @classmethod
    def from_config(cls, config: Server) -> "Admission":
        """The bounds of `router.yaml`."""
        return cls(
            max_running=config.max_running,
            max_tokens=config.max_tokens_in_flight,
            max_queue=config.max_queue,
        )

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def close(self, refusal: Envelope) -> None:
        """Refuse whatever comes from now on with `refusal`; who is in, waiting ones too, is served."""
        self._closed = refusal

    def is_closed(self) -> bool:
        """Whether everything is refused."""
        return self._closed is not None

    def check(self) -> None:
        """Raise what a request arriving now would be refused with, if it would.

        :raises RefusedError: 503 once closed, 429 while the queue is full.
        """
        if self._closed is not None:
            raise RefusedError(self._closed)
        if self._waiting and len(self._waiting) >= self.max_queue:
            raise self._queue_is_full()

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncGenerator[None, None]:
        """Hold a place for a request of `tokens`, waiting for it where it must.

        :raises RefusedError: 503 once closed, 429 when the queue is full.
        """
        tokens = min(tokens, self.max_tokens)
        await self._enter(tokens)
        began = self._clock()
        try:
            yield
        finally:
            self._remember(self._clock() - began)
            self._leave(tokens)

    def retry_after(self) -> int:
        """Seconds until a place should be free: what waits and runs, at the pace of recent requests."""
        rounds = (self.queued + 1) / self.max_running
        return min(max(1, math.ceil(rounds * (self._service_s or 1.0))), LONGEST_WAIT_S)

    async def _enter(self, tokens: int) -> None:
        if self._closed is not None:
            raise RefusedError(self._closed)
        if not self._waiting and self._can_run(tokens):
            self._take(tokens)
            return
        if len(self._waiting) >= self.max_queue:
            raise self._queue_is_full()
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = tokens
        try:
            await place
        except asyncio.CancelledError:
            self._give_up(place, tokens)
            raise

    def _give_up(self, place: asyncio.Future[None], tokens: int) -> None:
        """Undo a wait that was cancelled: in the queue, or in the moment after its place was given."""
        if place.cancelled():
            self._waiting.pop(place, None)
            self._call_next()
        else:
            self._leave(tokens)

    def _can_run(self, tokens: int) -> bool:
        return self.running < self.max_running and self.tokens + tokens <= self.max_tokens

    def _take(self, tokens: int) -> None:
        self.running += 1
        self.tokens += tokens

    def _leave(self, tokens: int) -> None:
        self.running -= 1
        self.tokens -= tokens
        assert min(self.running, self.tokens) >= 0, "a place was given back twice"
        self._call_next()

    def _call_next(self) -> None:
        """Give places to those at the head of the queue while they fit."""
        while self._waiting:
            place, tokens = next(iter(self._waiting.items()))
            if not place.done() and not self._can_run(tokens):
                return
            del self._waiting[place]
            if not place.done():
                self._take(tokens)
                place.set_result(None)

    def _remember(self, service_s: float) -> None:
        past = service_s if self._service_s is None else self._service_s
        self._service_s = _MEMORY * past + (1 - _MEMORY) * service_s

    def _queue_is_full(self) -> RefusedError:
        message = f"The server is full: {self.running} requests run and {self.queued} wait."
        return refused(429, message, code="queue_full", retry_after=self.retry_after())
