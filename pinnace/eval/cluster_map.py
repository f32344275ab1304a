"""The map of a table's clusters: their names, sizes, which small model wins, what the large one adds. Pure.

The winner of a cluster is the best of many means, and on the rows that chose it it looks better than it is:
the gain of escalating would come out too low. So each half of the rows is judged with the winner of the other
half. Knows no router: who wins is what the scores say, not what anybody would choose.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import Z95
from pinnace.eval.table import FloatArray
from pinnace.router.estimators.clusters import fit_centroids
from pinnace.router.labels import label_clusters
from pinnace.router.types import IntArray

COUNT = 24
FOLDS = 2
"""Halves: with more folds the winners hang together, and the intervals come out too narrow."""
PRIOR_ROWS = 1.0
"""A model's mean on all rows counts as so many rows of each cluster: it breaks ties and fills gaps."""


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """One cluster. Qualities and gains are in points, 0..100; None where there is no large model.

    `best_small` wins on all its rows; `best_small_quality` is the mean score of the winners that the other
    half chose, and `gain`, with its 95 % interval, is `large_quality` minus it on the same rows. `x` and `y`
    place the centroid on the first two principal components of all centroids.
    """

    label: str
    rows: int
    share: float
    best_small: str
    best_small_quality: float | None
    large_quality: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    x: float
    y: float

    def as_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields."""
        return asdict(self)


def cluster_map(
    prompts: Sequence[str],
    vectors: FloatArray,
    scores: FloatArray,
    small_columns: Sequence[int],
    large_column: int | None,
    models: Sequence[str],
    *,
    count: int = COUNT,
    seed: int = 0,
) -> tuple[ClusterSummary, ...]:
    """The clusters of a table, largest first.

    :param prompts: n texts, which name the clusters.
    :param vectors: (n, dim), rows L2-normalised: k-means of them makes the clusters.
    :param scores: (n, m) in 0..1, NaN where not run.
    :param small_columns: the columns that compete for a cluster.
    :param large_column: the model that is escalated to, if any.
    :param count: clusters; at most a tenth of the rows.
    """
    assert len(prompts) == len(vectors) == len(scores), (len(prompts), len(vectors), len(scores))
    assert small_columns, "a map needs a model to win"
    members, places = _clusters(vectors, count, seed)
    k = len(places)
    folds = np.random.default_rng(seed).permutation(len(prompts)) % FOLDS
    small = scores[:, list(small_columns)]
    winners, judged = _winners(small, members, folds, k)
    large = np.full(len(prompts), np.nan) if large_column is None else scores[:, large_column]
    labels = label_clusters(prompts, members, k)
    found = [
        ClusterSummary(
            label=labels[cluster],
            rows=len(rows),
            share=len(rows) / len(prompts),
            best_small=models[small_columns[int(winners[cluster])]],
            **_qualities(judged[rows], large[rows], is_paired=large_column is not None),
            x=float(places[cluster, 0]),
            y=float(places[cluster, 1]),
        )
        for cluster in range(k)
        if len(rows := np.flatnonzero(members == cluster))
    ]
    return tuple(sorted(found, key=lambda each: -each.rows))


def _clusters(vectors: FloatArray, count: int, seed: int) -> tuple[IntArray, FloatArray]:
    """The cluster of each row (n,), and the place of each cluster (k, 2)."""
    centroids = fit_centroids(vectors, count, random_state=seed)
    members: IntArray = np.argmax(vectors @ centroids.T, axis=1)
    return members, _places(centroids, np.bincount(members, minlength=len(centroids)))


def _places(centroids: FloatArray, sizes: IntArray) -> FloatArray:
    """The first two principal components of the centroids, each weighted by its rows; signs are fixed."""
    weights = sizes / sizes.sum()
    centred = centroids - weights @ centroids
    weighted: FloatArray = centred * np.sqrt(weights)[:, None]
    axes = np.linalg.svd(weighted, full_matrices=False).Vh[:2]
    places = np.zeros((len(centroids), 2))
    places[:, : len(axes)] = centred @ axes.T
    furthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    return places * np.where(furthest < 0, -1.0, 1.0)


def _winners(small: FloatArray, members: IntArray, folds: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """The winner of each cluster (k,), and each row's score of the winner that the other half chose (n,)."""
    is_known = ~np.isnan(small)
    sums, counts = np.zeros((2, k, FOLDS, small.shape[1]))
    np.add.at(sums, (members, folds), np.where(is_known, small, 0.0))
    np.add.at(counts, (members, folds), is_known)
    ran = counts.sum(axis=(0, 1))
    overall = np.where(ran > 0, sums.sum(axis=(0, 1)) / np.maximum(ran, 1.0), -1.0)
    winners = _best(sums.sum(axis=1), counts.sum(axis=1), overall)
    others = _best(
        sums.sum(axis=1, keepdims=True) - sums, counts.sum(axis=1, keepdims=True) - counts, overall
    )
    return winners, small[np.arange(len(small)), others[members, folds]]


def _best(sums: FloatArray, counts: FloatArray, overall: FloatArray) -> IntArray:
    """The model of the highest mean; one that never ran is never the best."""
    means = (sums + PRIOR_ROWS * overall) / (counts + PRIOR_ROWS)
    return np.argmax(means, axis=-1)


def _qualities(small: FloatArray, large: FloatArray, *, is_paired: bool) -> dict[str, float | None]:
    """The figures of one cluster in points, over the rows where both scores are known."""
    known = ~np.isnan(small) & (~np.isnan(large) | (not is_paired))
    small, large = small[known], large[known]
    if not is_paired or not len(small):
        quality = 100 * float(small.mean()) if len(small) else None
        none = dict.fromkeys(("large_quality", "gain", "gain_low", "gain_high"))
        return {"best_small_quality": quality, **none}
    low, high = _paired_interval(large - small)
    return {
        "best_small_quality": 100 * float(small.mean()),
        "large_quality": 100 * float(large.mean()),
        "gain": 100 * float((large - small).mean()),
        "gain_low": 100 * low,
        "gain_high": 100 * high,
    }


def _paired_interval(gains: FloatArray) -> tuple[float, float]:
    """The 95 % interval of a mean difference of paired scores in 0..1 (Agresti and Min 2005).

    Half a row is added to each cell of the paired table of right and wrong, so that a few rows that happen
    to agree do not look certain.
    """
    n = len(gains) + 2.0
    centre = float(gains.sum()) / n
    spread = Z95 * np.sqrt((((gains**2).sum() + 1.0) / n - centre**2) / n)
    return max(-1.0, float(centre - spread)), min(1.0, float(centre + spread))
