"""Nearest neighbours: each model's mean score on the most similar requests of those that were scored."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from pinnace.router.estimators.learner import Rows, column_means
from pinnace.router.types import FloatArray, IntArray
from pinnace.router.vectors import normalised

BLOCK = 1_000
"""Rows whose likeness to all others is held at once."""


class Neighbours:
    """The mean over the `count` rows that are nearest by the embedding's cosine, every one alike.

    Rows of the same embedding count together: where not all of them are among the nearest, each counts for
    its part, so that no order of the rows decides.

    :param count: neighbours; at most half of the rows.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def fit(self, rows: Rows) -> Self:
        """Keep distinct `vectors_` (u, dim), how many `rows_` (u,) each has, `sums_` and `runs_` (u, m)."""
        vectors = _unit(rows.features[:, : rows.dim])
        self.vectors_, which = np.unique(vectors, axis=0, return_inverse=True)
        known = ~np.isnan(rows.scores)
        everywhere = np.ones((len(vectors), 1))
        self.rows_ = _summed(everywhere, which, len(self.vectors_))[:, 0]
        self.sums_ = _summed(np.where(known, rows.scores, 0.0), which, len(self.vectors_))
        self.runs_ = _summed(known.astype(np.float64), which, len(self.vectors_))
        self.means_ = column_means(rows.scores)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        vectors = _unit(features[:, : self.vectors_.shape[1]])
        blocks = range(0, max(len(vectors), 1), BLOCK)
        return np.concatenate([self._mean(vectors[b : b + BLOCK]) for b in blocks])

    def _mean(self, vectors: NDArray[np.float32]) -> FloatArray:
        nearest, shares = self._nearest(vectors)
        sums = np.einsum("nk,nkm->nm", shares, self.sums_[nearest])
        runs = np.einsum("nk,nkm->nm", shares, self.runs_[nearest])
        rows = (shares * self.rows_[nearest]).sum(axis=1, keepdims=True)
        is_whole = runs > rows - 1e-6
        return np.where(is_whole, sums / rows, (sums + self.means_) / (runs + 1))

    def _nearest(self, vectors: NDArray[np.float32]) -> tuple[IntArray, FloatArray]:
        """The nearest distinct vectors, (n, k), nearest first, and the part of their rows that counts."""
        wanted = max(1.0, min(float(self.count), self.rows_.sum() // 2))
        k = min(int(wanted), len(self.vectors_))
        likeness = vectors @ self.vectors_.T
        nearest = np.argpartition(likeness, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(likeness, nearest, axis=1), axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, axis=1)
        rows = self.rows_[nearest]
        before = np.cumsum(rows, axis=1) - rows
        return nearest, np.clip((wanted - before) / rows, 0.0, 1.0)


def _summed(values: FloatArray, which: IntArray, count: int) -> FloatArray:
    """Sums of `values` (n, m) over the rows of each number in `which` (n,), (count, m)."""
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, which, values)
    return sums


def _unit(vectors: FloatArray) -> NDArray[np.float32]:
    return normalised(vectors).astype(np.float32)
