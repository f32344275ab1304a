"""The embedding queue: one batch of whoever waits, and every one of them gets an answer."""

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from router_fixtures import failure_of

from pinnace.router.embedding_queue import MAX_BATCH, EmbeddingQueue
from pinnace.router.types import FloatArray


class CountingEmbedder:
    """Gives a text's length as its vector, once it is let go; `batches` holds what came together."""

    name = "counting"
    dim = 1

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()
        self.short_by = 0

    def embed(self, texts: Sequence[str]) -> FloatArray:
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        self.go.wait(10)
        if "bad" in texts:
            raise ValueError("a bad text")
        return np.array([[float(len(text))] for text in texts])[self.short_by :]


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def queue(embedder: CountingEmbedder):
    queue = EmbeddingQueue(embedder)
    queue.start()
    yield queue
    embedder.go.set()
    queue.stop()


async def held(queue: EmbeddingQueue, embedder: CountingEmbedder, texts: Sequence[str]) -> list[asyncio.Task]:
    """Tasks that wait for `texts`, behind one that holds up the embedder."""
    embedder.go.clear()
    first = asyncio.create_task(queue.embed("first"))
    while not embedder.batches:  # noqa: ASYNC110 - a thread has no event of ours
        await asyncio.sleep(0.001)
    tasks = [asyncio.create_task(queue.embed(text)) for text in texts]
    await asyncio.sleep(0)
    return [first, *tasks]


async def test_a_text_has_its_own_vector(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    assert (await queue.embed("four")).tolist() == [4.0]
    assert embedder.threads == {"embedder"}


async def test_after_a_crowd_a_batch_waits_for_the_next_one(
    queue: EmbeddingQueue, embedder: CountingEmbedder
) -> None:
    queue.linger_s = queue.quiet_s = 60.0
    tasks = await held(queue, embedder, ["a", "bb"])
    embedder.go.set()
    await asyncio.gather(*tasks)
    lingering = asyncio.create_task(queue.embed("c"))
    await asyncio.sleep(0.05)
    assert not lingering.done()
    begun = time.monotonic()
    queue.stop()
    assert time.monotonic() - begun < 30, "stopping ends the wait at once"
    assert (await lingering).tolist() == [1.0]
    assert embedder.batches == [["first"], ["a", "bb"], ["c"]]


async def test_texts_that_trickle_in_do_not_hold_a_batch_up(
    queue: EmbeddingQueue, embedder: CountingEmbedder
) -> None:
    queue.linger_s = queue.quiet_s = 0.1
    tasks = await held(queue, embedder, ["a", "bb"])
    embedder.go.set()
    await asyncio.gather(*tasks)
    trickle: list[asyncio.Task] = []
    while len(trickle) < MAX_BATCH - 1 and not (trickle and trickle[0].done()):
        trickle.append(asyncio.create_task(queue.embed("trickle")))
        await asyncio.sleep(0.02)
    assert trickle[0].done(), "0.1 s is for the whole batch, not for each text"
    await asyncio.gather(*trickle)


async def test_a_lone_text_does_not_wait(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    queue.linger_s = queue.quiet_s = 60.0
    for text in ("a", "bb", "ccc"):
        await asyncio.wait_for(queue.embed(text), 30)
    assert embedder.batches == [["a"], ["bb"], ["ccc"]]


async def test_those_that_wait_are_embedded_together(
    queue: EmbeddingQueue, embedder: CountingEmbedder
) -> None:
    tasks = await held(queue, embedder, ["a", "bb", "ccc"])
    embedder.go.set()
    assert [vector.tolist() for vector in await asyncio.gather(*tasks)] == [[5.0], [1.0], [2.0], [3.0]]
    assert embedder.batches == [["first"], ["a", "bb", "ccc"]]


async def test_a_batch_has_its_bound(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    tasks = await held(queue, embedder, ["x"] * (MAX_BATCH + 5))
    embedder.go.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in embedder.batches] == [1, MAX_BATCH, 5]


async def test_a_failure_goes_to_those_of_its_batch_and_to_no_later_one(
    queue: EmbeddingQueue, embedder: CountingEmbedder
) -> None:
    tasks = await held(queue, embedder, ["good", "bad"])
    embedder.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes[1:]] == ["a bad text"] * 2
    assert (await queue.embed("later")).tolist() == [5.0]


async def test_an_embedder_that_loses_a_text_fails_its_batch_and_not_the_thread(
    queue: EmbeddingQueue, embedder: CountingEmbedder
) -> None:
    embedder.short_by = 1
    assert isinstance(await failure_of(asyncio.wait_for(queue.embed("lost"), 5)), ValueError)
    embedder.short_by = 0
    assert (await queue.embed("found")).tolist() == [5.0]


async def test_who_has_gone_is_passed_over(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    _, gone, bad, stays = await held(queue, embedder, ["gone", "bad", "stays"])
    gone.cancel()
    bad.cancel()
    await asyncio.sleep(0)
    embedder.go.set()
    assert isinstance(await failure_of(stays), ValueError)
    assert (await queue.embed("later")).tolist() == [5.0]


def test_a_loop_that_has_closed_is_passed_over(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    async def leave() -> None:
        tasks = await held(queue, embedder, ["a"])
        for task in tasks:
            task.cancel()

    asyncio.run(leave())
    embedder.go.set()
    assert asyncio.run(queue.embed("later")).tolist() == [5.0]


async def test_stopping_finishes_what_waits(queue: EmbeddingQueue, embedder: CountingEmbedder) -> None:
    tasks = await held(queue, embedder, ["a", "bb"])
    threading.Timer(0.02, embedder.go.set).start()
    queue.stop()
    assert [vector.tolist() for vector in await asyncio.gather(*tasks)] == [[5.0], [1.0], [2.0]]


async def test_it_starts_and_stops_any_number_of_times(embedder: CountingEmbedder) -> None:
    queue = EmbeddingQueue(embedder)
    queue.stop()
    for _ in range(2):
        queue.start()
        queue.start()
        assert (await queue.embed("four")).tolist() == [4.0]
        queue.stop()
        queue.stop()
    assert threading.active_count() < 20


async def test_before_it_is_started_it_is_a_bug_to_embed(embedder: CountingEmbedder) -> None:
    with pytest.raises(AssertionError, match="start the queue"):
        await EmbeddingQueue(embedder).embed("x")
