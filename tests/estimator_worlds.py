"""Made-up tables of outcomes whose true qualities are known, for tests of the estimators."""

from dataclasses import dataclass

import numpy as np

from pinnace.router.estimators.learner import Rows
from pinnace.router.types import FloatArray, IntArray

DIM, FORM = 16, 8
"""Lengths of the made-up embedding and of what follows it in a row of features."""
KINDS = 4


@dataclass(frozen=True, slots=True)
class World:
    """n scored requests as `rows`, and the true qualities that the scores were drawn from, `truth` (n, m)."""

    rows: Rows
    truth: FloatArray

    def shuffled(self, seed: int) -> Rows:
        """The rows with each other's scores: nothing of a request tells of its scores."""
        order = np.random.default_rng(seed).permutation(len(self.truth))
        return self.rows.with_scores(self.rows.scores[order])

    def blind(self) -> "World":
        """The world in which every request is like any other."""
        return World(self.rows, np.tile(self.truth.mean(axis=0), (len(self.truth), 1)))

    def gained(self, quality: FloatArray, best: int) -> float:
        """Points of true quality by which choosing on `quality` beats always asking model `best`."""
        chosen = self.truth[np.arange(len(self.truth)), quality.argmax(axis=1)]
        return 100 * float(chosen.mean() - self.truth[:, best].mean())


def make_world(
    n: int, seed: int, *, models: int = 5, strength: float = 0.25, rank: int | None = None
) -> World:
    """Requests of a law that `seed` does not change: it draws the requests and their scores only.

    `strength` is how far models differ between requests; with a `rank`, they differ in so many ways only.
    """
    law, rng = np.random.default_rng(5), np.random.default_rng(seed)
    centres = law.normal(size=(KINDS, DIM))
    ways = models if rank is None else rank
    mix = np.eye(models) if rank is None else law.normal(size=(ways, models))
    leads, heads = law.normal(size=(KINDS, ways)) @ mix, law.normal(size=(DIM + FORM, ways)) @ mix
    kinds = rng.integers(KINDS, size=n)
    vectors = centres[kinds] + rng.normal(size=(n, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    features = np.hstack([vectors, 0.1 * rng.normal(size=(n, FORM))])
    base = 0.45 + 0.04 * np.arange(models)
    truth = np.clip(base + strength * (0.6 * leads[kinds] + features @ heads), 0.02, 0.98)
    scores = (rng.random((n, models)) < truth).astype(np.float64)
    return World(Rows(features, scores, kinds, np.arange(n), DIM), truth)


def make_rows(n: int, models: int, seed: int, *, missing: float = 0.0, kinds: IntArray | None = None) -> Rows:
    """Rows of noise, a part of whose scores is not known."""
    rng = np.random.default_rng(seed)
    scores = rng.random((n, models))
    scores[rng.random((n, models)) < missing] = np.nan
    kinds = np.zeros(n, dtype=np.int64) if kinds is None else kinds
    return Rows(rng.normal(size=(n, DIM + FORM)), scores, kinds, np.arange(n), DIM)


def with_gaps(rows: Rows, share: float, seed: int) -> Rows:
    """The rows with a share of the scores not known."""
    gaps = np.random.default_rng(seed).random(rows.scores.shape) < share
    return rows.with_scores(np.where(gaps, np.nan, rows.scores))


def mean_square(a: FloatArray, b: FloatArray) -> float:
    """The mean squared difference."""
    return float(((a - b) ** 2).mean())
