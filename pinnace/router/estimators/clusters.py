"""k-means tables: each model's mean score in the clusters that a request falls into.

The published cluster routers are settings of it: Avengers-Pro (arXiv 2508.12631) is 64 clusters, the nearest
3, no shrinkage; CRE-Router (arXiv 2606.27457) a few clusters, the nearest 1.
"""

from typing import Any, Self

import numpy as np
from sklearn.cluster import KMeans  # pyright: ignore[reportMissingTypeStubs]

from pinnace.router.clusters import nearest_clusters
from pinnace.router.estimators.learner import Rows, column_means
from pinnace.router.estimators.tables import group_means
from pinnace.router.types import FloatArray, IntArray
from pinnace.router.vectors import normalised


class ClusterTable:
    """Mean scores per k-means cluster of the embedding, mixed over the nearest clusters of a request.

    :param count: clusters; at most a tenth of the rows.
    :param nearest: how many clusters a request is placed in.
    :param is_shrunk: whether cells are shrunk toward the model's mean.
    :param centroids: (k, dim) to use in place of new ones.
    """

    def __init__(
        self,
        count: int = 64,
        *,
        nearest: int = 3,
        is_shrunk: bool = True,
        centroids: FloatArray | None = None,
        random_state: int = 0,
    ) -> None:
        self.count = count
        self.nearest = nearest
        self.is_shrunk = is_shrunk
        self.centroids = centroids
        self.random_state = random_state

    def fit(self, rows: Rows) -> Self:
        """Learn `centroids_` (k, dim) and `table_` (k, m)."""
        vectors = rows.features[:, : rows.dim]
        self.centroids_ = (
            fit_centroids(vectors, self.count, random_state=self.random_state)
            if self.centroids is None
            else self.centroids
        )
        members = np.argmax(vectors @ self.centroids_.T, axis=1)
        self.table_ = self._table(rows.scores, members)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        return (
            membership(features[:, : self.centroids_.shape[1]], self.centroids_, self.nearest) @ self.table_
        )

    def _table(self, scores: FloatArray, members: IntArray) -> FloatArray:
        k = len(self.centroids_)
        if self.is_shrunk:
            return group_means(scores, members, k)[0]
        overall = column_means(scores)
        cells = [scores[members == c] for c in range(k)]
        return np.stack([np.where(np.isnan(c).all(axis=0), overall, column_means(c)) for c in cells])


def membership(vectors: FloatArray, centroids: FloatArray, nearest: int) -> FloatArray:
    """The weight of each cluster for each row, (n, k): over the `nearest` ones, 0 elsewhere."""
    found, weights = nearest_clusters(vectors, centroids, nearest)
    everywhere = np.zeros((len(vectors), len(centroids)))
    np.put_along_axis(everywhere, found, weights, axis=1)
    return everywhere


def fit_centroids(vectors: FloatArray, count: int, *, random_state: int) -> FloatArray:
    """k-means centroids of shape (k, dim), rows L2-normalised: k is at most a tenth of the rows."""
    distinct = len(np.unique(vectors, axis=0))
    k = max(1, min(count, len(vectors) // 10, distinct))
    kmeans: Any = KMeans
    means: Any = kmeans(n_clusters=k, n_init=1, random_state=random_state)
    means.fit(vectors.astype(np.float32))
    return normalised(np.asarray(means.cluster_centers_, dtype=np.float64))
