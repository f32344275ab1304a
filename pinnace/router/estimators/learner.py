"""What every learner of scores is: the seam between the ways of predicting and the stack of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pinnace.router.types import FloatArray, IntArray

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Scored requests to learn from: n rows, m models.

    `features` (n, d), of which the first `dim` are the embedding; `scores` (n, m), NaN where not run;
    `kinds` (n,) the task of each row, by number; `groups` (n,) the same number for rows of one prompt.
    """

    features: FloatArray
    scores: FloatArray
    kinds: IntArray
    groups: IntArray
    dim: int

    def take(self, chosen: IntArray | NDArray[np.bool_]) -> "Rows":
        """The rows that `chosen` names, by number or by truth."""
        return Rows(
            self.features[chosen], self.scores[chosen], self.kinds[chosen], self.groups[chosen], self.dim
        )

    def with_scores(self, scores: FloatArray) -> "Rows":
        """The same rows with other scores to learn."""
        return Rows(self.features, scores, self.kinds, self.groups, self.dim)


class Learner(Protocol):
    """Predicts scores from features."""

    def fit(self, rows: Rows) -> Self:
        """Learn from `rows`."""
        ...

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores of shape (n, m) for features of shape (n, d)."""
        ...


def numbered(names: Sequence[str]) -> IntArray:
    """The names as numbers from 0, in order of first appearance, (n,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def folds_of(groups: IntArray, seed: int, count: int = FOLDS) -> IntArray:
    """The fold of each row, (n,): drawn at random, but the same for rows of one group."""
    distinct = int(groups.max(initial=-1)) + 1
    shuffled = np.random.default_rng(seed).permutation(distinct)
    return (shuffled[groups] % count).astype(np.int64)


def each_fold(rows: Rows, seed: int) -> Iterator[tuple[NDArray[np.bool_], Rows]]:
    """Which rows are in a fold, (n,), and the rest to learn from; no fold that has none of them, or all."""
    folds = folds_of(rows.groups, seed)
    for fold in range(FOLDS):
        held = folds == fold
        if held.any() and not held.all():
            yield held, rows.take(~held)


def column_means(scores: FloatArray) -> FloatArray:
    """The mean of each model's known scores, (m,); the mean of all where it has none."""
    known = ~np.isnan(scores)
    sums = np.where(known, scores, 0.0).sum(axis=0)
    overall = sums.sum() / max(int(known.sum()), 1)
    return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), overall)
