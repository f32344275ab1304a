"""The embedding models that are served: the router's own, and those of `embeddings` in router.yaml.

Knows nothing of HTTP. A text that is longer than its model reads is refused rather than cut, since half an
embedding looks like a whole one.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from pinnace.config import EmbeddingModel
from pinnace.errors import ContextTooLongError, UnknownModelError
from pinnace.router.embedder import HASHING, HashingEmbedder, SentenceEmbedder
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.types import Embedder, FloatArray, can_count

LOT = 16
"""Texts embedded together: a routing decision that uses the same embedder waits for one lot at most."""
LOT_CHARACTERS = 1_000
"""What a lot has in all, or one text by itself: MiniLM takes 20 to 60 ms for it on one core."""


class Embedders:
    """All of them, by name. `start` before use, `stop` after; the router starts and stops its own.

    :param own: the router's queue as it is now; None where it has none.
    """

    def __init__(
        self, own: Callable[[], EmbeddingQueue | None], further: Mapping[str, EmbeddingQueue] | None = None
    ) -> None:
        self._own = own
        self._further = dict(further or {})
        self._turns: dict[str, asyncio.Lock] = {}

    @property
    def further(self) -> Mapping[str, EmbeddingQueue]:
        """Those beside the router's own, by name."""
        return self._further

    def start(self) -> None:
        """Start their threads."""
        for queue in self._further.values():
            queue.start()

    async def warm(self) -> None:
        """Load them, each on its own thread.

        :raises WeightsError: when the weights of one cannot be had.
        """
        for queue in self._further.values():
            await queue.embed("warm")

    def stop(self) -> None:
        """Stop their threads."""
        for queue in self._further.values():
            queue.stop()

    def names(self) -> list[str]:
        """What they are called, the router's own first."""
        return list(self._queues())

    def dim(self, name: str) -> int:
        """The length of a vector.

        :raises UnknownModelError: when there is none of that name.
        """
        return self._queue(name).embedder.dim

    async def embed(self, name: str, texts: Sequence[str]) -> tuple[FloatArray, int]:
        """Vectors of `texts`, of shape (n, dim), rows L2-normalised; and the tokens that they have.

        :raises UnknownModelError: when there is none of that name.
        :raises ContextTooLongError: when a text is longer than the model reads; names it by its number.
        """
        queue = self._queue(name)
        tokens = await asyncio.to_thread(_counted, queue.embedder, texts)
        vectors: list[FloatArray] = []
        for lot in lots_of(texts):
            async with self._turns.setdefault(name, asyncio.Lock()):
                vectors.append(await queue.embed_many(lot))
        return np.concatenate(vectors), tokens

    def _queue(self, name: str) -> EmbeddingQueue:
        queues = self._queues()
        if name not in queues:
            known = ", ".join(queues) or "none"
            raise UnknownModelError(
                f"there is no embedding model {name!r}; there are: {known}",
                param="model",
                code="model_not_found",
            )
        return queues[name]

    def _queues(self) -> dict[str, EmbeddingQueue]:
        own = self._own()
        queues = {} if own is None else {own.embedder.name: own}
        found = queues | self._further
        return {name: queue for name, queue in found.items() if can_count(queue.embedder)}


def lots_of(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """`texts` in their order, cut into lots."""
    first, characters = 0, 0
    for at, text in enumerate(texts):
        if at > first and (at - first == LOT or characters + len(text) > LOT_CHARACTERS):
            yield texts[first:at]
            first, characters = at, 0
        characters += len(text)
    yield texts[first:]


def _counted(embedder: Embedder, texts: Sequence[str]) -> int:
    """The tokens of all `texts`, each checked against what the model reads."""
    assert can_count(embedder)
    for number, text in enumerate(texts):
        _check(number, len(text), embedder.max_characters, "characters")
    counts = embedder.count(texts)
    for number, count in enumerate(counts):
        _check(number, count, embedder.max_tokens, "tokens")
    return sum(counts)


def _check(number: int, got: int, most: int, what: str) -> None:
    if got > most:
        param = f"input[{number}]"
        raise ContextTooLongError(
            f"{param}: expected at most {most} {what}, got {got}",
            param=param,
            code="context_length_exceeded",
        )


def further_embedders(configured: Sequence[EmbeddingModel]) -> dict[str, EmbeddingQueue]:
    """A queue for each of the configured models, none of them loaded yet."""
    return {each.name: EmbeddingQueue(_embedder(each)) for each in configured}


def _embedder(configured: EmbeddingModel) -> Embedder:
    if configured.source == HASHING:
        return HashingEmbedder()
    return SentenceEmbedder(configured.source, max_tokens=configured.max_tokens)
