"""Places: how much may run at once, in requests and tokens, and who comes next.

Two classes wait: interactive first, batch behind; each in order of arrival. A batch request ages: after
`AGING_S` it is as good as an interactive one that comes then, so that it never starves. Batch may hold no
more than its share of the places, so that interactive requests always find some. Knows nothing of HTTP, of
models or of what a refusal looks like.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

INTERACTIVE, BATCH = 0, 1
AGING_S = 30.0
_Place = asyncio.Future[None]


@dataclass(slots=True)
class _Waiter:
    """Who waits: for how many tokens, in which class, and `due`, the moment that its turn goes by."""

    tokens: int
    priority: int
    due: float


class PlacesFullError(Exception):
    """Nobody else may wait. Those who bound something by places say it in their own words."""


class Places:
    """At most `max_running` of at most `max_tokens` together; `max_waiting` more may wait.

    A large request at the head of its queue is not overtaken by its own class; one that is larger than all
    tokens by itself runs alone. `batch_share` is what batch may hold of places, tokens and queue.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_tokens: int,
        max_waiting: int,
        batch_share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_running = max_running
        self.max_tokens = max_tokens
        self.max_waiting = max_waiting
        self.running = 0
        self.tokens = 0
        self._batch_share = batch_share
        self._batch_running = 0
        self._batch_tokens = 0
        self._clock = clock
        self._queues: tuple[dict[_Place, _Waiter], dict[_Place, _Waiter]] = ({}, {})
        self._divide()

    def resize(
        self, *, max_running: int, max_tokens: int, max_waiting: int, batch_share: float = 1.0
    ) -> None:
        """Go on under other bounds: who runs and waits stays, and who now fits comes in."""
        self.max_running, self.max_tokens, self.max_waiting = max_running, max_tokens, max_waiting
        self._batch_share = batch_share
        self._divide()
        for queue, most in zip(self._queues, (max_tokens, self._max_batch_tokens), strict=True):
            for waiter in queue.values():  # else one that is now too large by itself would wait for ever
                waiter.tokens = min(waiter.tokens, most)
        self._call_next()

    def _divide(self) -> None:
        """What batch may hold of everything."""
        self._max_batch = max(1, int(self.max_running * self._batch_share))
        self._max_batch_tokens = max(1, int(self.max_tokens * self._batch_share))
        self._max_batch_waiting = ceil(self.max_waiting * self._batch_share)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queues[INTERACTIVE]) + len(self._queues[BATCH])

    def is_full(self, priority: int = INTERACTIVE) -> bool:
        """Whether one of this class that had to wait now could not."""
        is_batch_full = priority == BATCH and len(self._queues[BATCH]) >= self._max_batch_waiting
        return is_batch_full or self.waiting >= self.max_waiting

    def has_queue(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queues[INTERACTIVE] or self._queues[BATCH])

    async def enter(self, tokens: int, priority: int = INTERACTIVE) -> int:
        """Take a place, waiting for it where it must; returns the tokens to give back with `leave`.

        :raises PlacesFullError: when it would have to wait, and nobody else may.
        """
        tokens = min(tokens, self._max_batch_tokens if priority == BATCH else self.max_tokens)
        if not self.has_queue() and self._can_run(tokens, priority):
            self._take(tokens, priority)
            return tokens
        place: _Place = asyncio.get_running_loop().create_future()
        waiter = _Waiter(tokens, priority, self._clock() + AGING_S * priority)
        queue = self._queues[priority]
        queue[place] = waiter
        self._call_next()  # whoever waits may be held back by a bound that does not hold this one
        if not place.done():
            self._check_room(place, queue)
            await self._wait(place, waiter)
        return waiter.tokens

    def leave(self, tokens: int, priority: int = INTERACTIVE) -> None:
        """Give a place back, and call whoever is next."""
        self.running -= 1
        self.tokens -= tokens
        if priority == BATCH:
            self._batch_running -= 1
            self._batch_tokens -= tokens
        assert min(self.running, self.tokens, self._batch_running, self._batch_tokens) >= 0, (
            "a place was given back twice"
        )
        self._call_next()

    def _check_room(self, place: _Place, queue: dict[_Place, _Waiter]) -> None:
        """Leave the queue again where it has become longer than it may."""
        is_batch_full = queue is self._queues[BATCH] and len(queue) > self._max_batch_waiting
        if is_batch_full or self.waiting > self.max_waiting:
            del queue[place]
            raise PlacesFullError

    async def _wait(self, place: _Place, waiter: _Waiter) -> None:
        try:
            await place
        except asyncio.CancelledError:
            self._give_up(place, waiter)
            raise

    def _give_up(self, place: _Place, waiter: _Waiter) -> None:
        """Undo a wait that was cancelled: in the queue, or in the moment after its place was given."""
        if place.cancelled():
            self._queues[waiter.priority].pop(place, None)
            self._call_next()
        else:
            self.leave(waiter.tokens, waiter.priority)

    def _can_run(self, tokens: int, priority: int) -> bool:
        fits = self.running < self.max_running and self.tokens + tokens <= self.max_tokens
        return fits and (priority != BATCH or self._is_within_share(tokens))

    def _is_within_share(self, tokens: int) -> bool:
        return self._batch_running < self._max_batch and self._batch_tokens + tokens <= self._max_batch_tokens

    def _take(self, tokens: int, priority: int) -> None:
        self.running += 1
        self.tokens += tokens
        if priority == BATCH:
            self._batch_running += 1
            self._batch_tokens += tokens

    def _call_next(self) -> None:
        """Give places to those whose turn it is, while they fit."""
        while (found := self._next()) is not None:
            place, waiter = found
            if not self._can_run(waiter.tokens, waiter.priority):
                return
            del self._queues[waiter.priority][place]
            self._take(waiter.tokens, waiter.priority)
            place.set_result(None)

    def _next(self) -> tuple[_Place, _Waiter] | None:
        """Whose turn it is: of the heads of both queues the one that is due first, batch within its share."""
        interactive, batch = (self._head(queue) for queue in self._queues)
        if batch is None or not self._is_within_share(batch[1].tokens):
            return interactive
        if interactive is None or batch[1].due < interactive[1].due:
            return batch
        return interactive

    def _head(self, queue: dict[_Place, _Waiter]) -> tuple[_Place, _Waiter] | None:
        """The first of a queue; those who were cancelled and have not run since are let go."""
        while queue:
            place, waiter = next(iter(queue.items()))
            if not place.done():
                return place, waiter
            del queue[place]
        return None


def due_ms(priority: int) -> int:
    """When a request that begins now is due, in ms: what vLLM's scheduler orders by, the least first."""
    return int((time.monotonic() + AGING_S * priority) * 1000)
