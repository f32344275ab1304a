"""Features: a request as one row of numbers, its embedding first, then n-grams, then surface marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pinnace.router.estimators.marks import surface_marks
from pinnace.router.estimators.ngrams import NgramProjection, ngram_counts
from pinnace.router.types import FloatArray, IntArray

MARK_WEIGHT = 0.1
"""Length of a mark's standard deviation beside an embedding of length one."""
MARK_BOUND = 4.0
"""Standard deviations at which a mark is cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is seen of n requests before anything is fitted: `vectors` (n, dim), n-gram `counts`, `marks`."""

    vectors: FloatArray
    counts: Any
    marks: FloatArray

    def take(self, chosen: IntArray | NDArray[np.bool_]) -> "Seen":
        """The requests that `chosen` names, by number or by truth."""
        return Seen(self.vectors[chosen], self.counts[chosen], self.marks[chosen])


def look(texts: Sequence[str], vectors: FloatArray) -> Seen:
    """What is seen of requests with these texts and embeddings (n, dim)."""
    return Seen(vectors, ngram_counts(texts), surface_marks(texts))


class Features:
    """Turns what is seen into rows (n, d): embedding, n-gram directions, standardised marks.

    :param ngrams: directions of n-grams.
    """

    def __init__(self, ngrams: int = 96, *, random_state: int = 0) -> None:
        self.ngrams = ngrams
        self.random_state = random_state

    def fit(self, seen: Seen) -> Self:
        """Learn `projection_`, `centre_` and `scale_` of the marks, and `dim_` of the embedding."""
        self.dim_ = seen.vectors.shape[1]
        self.projection_ = NgramProjection(self.ngrams, random_state=self.random_state).fit(seen.counts)
        self.centre_ = seen.marks.mean(axis=0)
        self.scale_ = np.maximum(seen.marks.std(axis=0), 1e-9)
        return self

    def transform(self, seen: Seen) -> FloatArray:
        """Rows of shape (n, d)."""
        marks = np.clip((seen.marks - self.centre_) / self.scale_, -MARK_BOUND, MARK_BOUND)
        return np.hstack([seen.vectors, self.projection_.transform(seen.counts), MARK_WEIGHT * marks])
