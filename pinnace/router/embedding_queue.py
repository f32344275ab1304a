"""Micro-batching: whatever requests are waiting are embedded together, on one thread of their own."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate

from pinnace.router.types import Embedder, FloatArray

MAX_BATCH = 64
QUIET_S = 0.015
"""How long a batch waits for another text, where the batch before it had more than one."""
LINGER_S = 0.06
"""How long it waits in all."""
_Waiting = tuple[tuple[str, ...], "asyncio.Future[FloatArray]"]


class EmbeddingQueue:
    """Embeds texts from any number of tasks, one batch at a time. `start` before use, `stop` after.

    `quiet_s` and `linger_s` are seconds that the next batch waits: for another text, and in all. `on_batch`
    is told, on the embedder's thread, how many texts each batch had and how many seconds they took.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.quiet_s = QUIET_S
        self.linger_s = LINGER_S
        self.on_batch: Callable[[int, float], None] | None = None
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._has_company = False

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish what waits, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    async def embed(self, text: str) -> FloatArray:
        """The vector of `text`, of shape (dim,)."""
        vectors = await self.embed_many((text,))
        return vectors[0]

    async def embed_many(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of `texts`, of shape (n, dim), made together; what comes next waits for all of them."""
        assert self._thread is not None, "start the queue before embedding"
        future: asyncio.Future[FloatArray] = asyncio.get_running_loop().create_future()
        self._waiting.put((tuple(texts), future))
        return await future

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, is_last = self._gather(first)
            self._embed(batch)
            if is_last:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What waits, and whether it is the last. A lone request never lingers; a crowd becomes one batch."""
        batch, is_last = [first], False
        if _is_lot(first):
            return batch, is_last
        until = time.monotonic() + (self.linger_s if self._has_company else 0.0)
        while len(batch) < MAX_BATCH and not is_last:
            try:
                waiting = self._waiting.get(timeout=min(self.quiet_s, max(until - time.monotonic(), 0.0)))
            except queue.Empty:
                break
            if waiting is None:
                is_last = True
            else:
                batch.append(waiting)
                if _is_lot(waiting):
                    break
        self._has_company = len(batch) > 1
        return batch, is_last

    def _embed(self, batch: list[_Waiting]) -> None:
        began = time.perf_counter()
        try:
            vectors = self.embedder.embed([text for texts, _ in batch for text in texts])
            outcomes = _split(vectors, batch)
        except Exception as error:  # whatever it is belongs to the requests that wait, not to this thread
            _settle([(future, error) for _, future in batch])
        else:
            if self.on_batch is not None:
                self.on_batch(len(vectors), time.perf_counter() - began)
            _settle([(future, found) for (_, future), found in zip(batch, outcomes, strict=True)])


def _is_lot(waiting: _Waiting) -> bool:
    """Several texts at once are a batch by themselves, and wait for no others."""
    return len(waiting[0]) > 1


def _split(vectors: FloatArray, batch: Sequence[_Waiting]) -> list[FloatArray]:
    """The rows of each of those that wait."""
    if len(vectors) != sum(len(texts) for texts, _ in batch):
        raise ValueError(f"the embedder gave {len(vectors)} vectors for a batch that has another length")
    ends = accumulate(len(texts) for texts, _ in batch)
    return [vectors[end - len(texts) : end] for end, (texts, _) in zip(ends, batch, strict=True)]


def _settle(outcomes: Sequence[tuple["asyncio.Future[FloatArray]", FloatArray | Exception]]) -> None:
    """Give futures their outcomes, all of a loop in one of its turns, unless whoever waited has gone."""
    for loop in {future.get_loop() for future, _ in outcomes}:
        own = [(future, outcome) for future, outcome in outcomes if future.get_loop() is loop]
        with suppress(RuntimeError):  # a loop that has closed, with whoever waited on it
            loop.call_soon_threadsafe(_settle_now, own)


def _settle_now(outcomes: Sequence[tuple["asyncio.Future[FloatArray]", FloatArray | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
