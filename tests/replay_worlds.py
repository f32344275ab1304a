"""A small made-up world of outcomes for tests of the replay: topics with words of their own, models with
strengths of their own, and costs that go with the length of the prompt."""

from dataclasses import replace
from functools import cache

import numpy as np

from pinnace.eval.methods import METHODS, Method, neighbours
from pinnace.eval.pool import Pool
from pinnace.eval.recorded_rows import Recorded, recorded_rows
from pinnace.eval.replay import Replay, replay
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.types import IntArray

TOPICS = ("algebra", "capitals", "poetry")
WORDS = {
    topic: tuple(words.split())
    for topic, words in (
        ("algebra", "sum product equation integer fraction root prime square cube number solve"),
        ("capitals", "country city river border capital flag province mountain coast island where"),
        ("poetry", "rhyme verse sonnet metre stanza line rose winter sea metaphor write"),
    )
}
SMALL, LARGE = ("small:a", "small:b", "small:c"), "large"
POOL = Pool(SMALL, LARGE)
STRENGTHS = np.asarray([[0.8, 0.2, 0.3, 0.85], [0.2, 0.8, 0.3, 0.85], [0.3, 0.3, 0.7, 0.75]])
PRICES = np.asarray([1.0, 1.5, 2.0, 20.0]) * 1e-5
"""USD of a request of usual length."""
SEEDS, DRAWS = 2, 50
QUICK: dict[str, Method] = {
    **{name: method for name, method in METHODS.items() if name != "cre"},
    "pinnace": Method("Pinnace", "ours", neighbours(20)),
}
"""The methods that take no second, and one in the place of ours, where they are not what is tested."""
QUICK_PAIR = {**QUICK, "pinnace_served": QUICK["pinnace"]}


@cache
def world(n: int = 300, seed: int = 0) -> OutcomeTable:
    """`n` rows of three topics; which model is good at which is `STRENGTHS`."""
    rng = np.random.default_rng(seed)
    topics = [TOPICS[k] for k in rng.integers(0, len(TOPICS), n)]
    lengths = rng.integers(6, 16, n)
    prompts = [
        f"{row}: " + " ".join(rng.choice(WORDS[topic], size=length))
        for row, (topic, length) in enumerate(zip(topics, lengths, strict=True))
    ]
    right = STRENGTHS[[TOPICS.index(topic) for topic in topics]]
    return OutcomeTable(
        ids=tuple(f"r{row}" for row in range(n)),
        tasks=tuple(topics),
        prompts=tuple(prompts),
        models=(*SMALL, LARGE),
        scores=(rng.random(right.shape) < right).astype(np.float64),
        costs=PRICES * (lengths / 10)[:, None] * rng.lognormal(sigma=0.1, size=right.shape),
    )


def vectors_of(texts: object) -> FloatArray:
    """Embeddings without weights, (n, 64)."""
    return HashingEmbedder(64).embed(list(texts))  # type: ignore[call-overload]


def recorded_of(table: OutcomeTable, pool: Pool = POOL) -> Recorded:
    """All rows of `table` that can be replayed."""
    return recorded_rows(table, pool, vectors_of)


def with_columns(table: OutcomeTable, columns: IntArray) -> OutcomeTable:
    """The same rows with these models, in this order."""
    return replace(
        table,
        models=tuple(table.models[int(column)] for column in columns),
        scores=table.scores[:, columns],
        costs=table.costs[:, columns],
    )


@cache
def finished() -> Replay:
    """The world replayed once, for all tests that only look at what came out."""
    return replay(recorded_of(world()), seeds=SEEDS, draws=DRAWS)


@cache
def finished_once() -> Replay:
    """The same over one split, to compare with another replay of one split."""
    return replay(recorded_of(world()), seeds=1, draws=DRAWS)


def areas(found: Replay) -> dict[str, float]:
    """The area of each method."""
    return {name: method.figures["area"].value for name, method in found.methods.items()}


def small_accuracies(found: Replay) -> dict[str, float]:
    """The accuracy of each method among the small models."""
    return {name: method.figures["small_accuracy"].value for name, method in found.methods.items()}
