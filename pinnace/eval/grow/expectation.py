"""What a growth may come to, before anything is trained: how well near prompts agree on their answers.

Each calibration row is answered by the majority of the training rows that lie nearest to it. A specialist is
usually better than that where answers are few and recur, and nothing is foretold where they do not.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.grow.answers import rule_of
from pinnace.eval.grow.decision import KEEP, Bar, certified_bar
from pinnace.eval.grow.examples import Taught
from pinnace.eval.grow.plan import GrowthPlan
from pinnace.eval.grow.splits import drawn
from pinnace.eval.scoring import score
from pinnace.router.types import Embedder, FloatArray

NEIGHBOURS = 10
BLOCK = 256
KNOWN, ASKED = 4_000, 500
"""Rows that are embedded, of those to train on and those to calibrate on, at most."""


@dataclass(frozen=True, slots=True)
class Expected:
    """`accuracy` of the neighbours' majority, and the `bar` that their agreement would have as a
    confidence."""

    accuracy: float
    bar: Bar | None


def expected_of(
    known: Sequence[Taught],
    vectors: FloatArray,
    asked: Sequence[Taught],
    asked_vectors: FloatArray,
    keep: float = KEEP,
) -> Expected:
    """What the neighbours among `known` say of the rows `asked`.

    :param vectors: of the known prompts, (n, dim), rows L2-normalised; `asked_vectors` likewise.
    """
    told = [_voted(known, near) for near in _nearest(vectors, asked_vectors)]
    scores = np.array(
        [score(rule_of(one.gold), answer, one.gold) for one, (answer, _) in zip(asked, told, strict=True)]
    )
    agreement = np.array([share for _, share in told])
    bar = certified_bar(agreement, scores, np.ones(len(scores)), keep)
    return Expected(float(scores.mean()) if len(scores) else 0.0, bar)


def _voted(known: Sequence[Taught], near: Sequence[tuple[int, float]]) -> tuple[str, float]:
    """The answer of the nearest rows, by their likeness, and the share of it that is behind that."""
    votes: Counter[str] = Counter()
    for row, likeness in near:
        votes[known[row].row.answer] += max(likeness, 1e-6)  # pyright: ignore[reportArgumentType]
    answer, weight = votes.most_common(1)[0]
    return answer, weight / sum(votes.values())


def _nearest(vectors: FloatArray, asked: FloatArray) -> list[list[tuple[int, float]]]:
    found: list[list[tuple[int, float]]] = []
    for start in range(0, len(asked), BLOCK):
        likeness = asked[start : start + BLOCK] @ vectors.T
        order = np.argsort(-likeness, axis=1)[:, :NEIGHBOURS]
        values = np.take_along_axis(likeness, order, axis=1)
        found += [
            list(zip(rows, near, strict=True))
            for rows, near in zip(order.tolist(), values.tolist(), strict=True)
        ]
    return found


def foretold(plan: GrowthPlan, embedder: Embedder, keep: float = KEEP) -> list[Expected]:
    """What the neighbours say of each domain of a plan, on at most `ASKED` of its calibration rows."""
    found: list[Expected] = []
    for domain in plan.domains:
        known, asked = drawn(domain.split.train, KNOWN), domain.split.calibration[:ASKED]
        near, far = (embed_cached(embedder, [each.row.prompt for each in part]) for part in (known, asked))
        found.append(expected_of(known, near, asked, far, keep))
    return found
