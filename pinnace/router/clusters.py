"""Clusters: the centroids that requests fall into. Pure: values in, values out."""

from dataclasses import dataclass

import numpy as np

from pinnace.router.types import FloatArray, IntArray

NEIGHBOURS = 3
SHARPNESS = 20.0
"""Weight of a cluster is exp(SHARPNESS x cosine), over the nearest NEIGHBOURS: as in Avengers-Pro."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Centroids of shape (k, dim), rows L2-normalised, each with a label that a person can read.

    `familiar` are two cosines to the nearest centroid: at the first and below, a request is like nothing
    that was measured; at the second and above it is as familiar as those.
    """

    centroids: FloatArray
    labels: tuple[str, ...]
    familiar: tuple[float, float] = (-1.0, -1.0)

    def familiarity(self, vectors: FloatArray) -> FloatArray:
        """How much each row is like what was measured, 0 to 1, of shape (n,)."""
        nearest = (vectors @ self.centroids.T).max(axis=1)
        strange, familiar = self.familiar
        if familiar <= strange:
            return np.ones(len(vectors))
        return np.clip((nearest - strange) / (familiar - strange), 0.0, 1.0)

    def membership(self, vectors: FloatArray) -> tuple[IntArray, FloatArray]:
        """The nearest clusters of each row and their weights, both of shape (n, p), heaviest first."""
        return nearest_clusters(vectors, self.centroids, NEIGHBOURS)


def nearest_clusters(vectors: FloatArray, centroids: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The `count` nearest clusters of each row and their weights, both of shape (n, p), heaviest first."""
    likeness = vectors @ centroids.T
    nearest = np.argsort(-likeness, axis=1)[:, :count]
    found = np.take_along_axis(likeness, nearest, axis=1)
    weights = np.exp(SHARPNESS * (found - found[:, :1]))
    return nearest.astype(np.int64), weights / weights.sum(axis=1, keepdims=True)
