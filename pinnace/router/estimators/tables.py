"""Score tables: the mean score of each model per group of requests, shrunk toward its mean over all.

Pure. The groups are clusters or kinds; those two differ only in how a request finds its group.
"""

import numpy as np

from pinnace.router.estimators.learner import column_means
from pinnace.router.types import FloatArray, IntArray


def group_means(scores: FloatArray, groups: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Per group and model, the mean shrunk toward the model's own, and its standard deviation, (count, m).

    The strength of the shrinkage is the ratio of the variance within groups to that between them
    (empirical Bayes by moments), so that groups which tell nothing fall back to the model's mean.
    """
    overall = column_means(scores)
    known = ~np.isnan(scores)
    rows, sums = _sums(known.astype(np.float64), groups, count), _sums(_filled(scores), groups, count)
    squares = _sums(_filled(scores) ** 2, groups, count)
    means = sums / np.maximum(rows, 1)
    within = _within(rows, means, squares)
    prior_rows = _prior_rows(rows, means, within)
    shrunk = (sums + prior_rows * overall) / (rows + prior_rows)
    return shrunk, np.sqrt(within / (rows + prior_rows + 1))


def mean_of_groups(scores: FloatArray, groups: IntArray, count: int) -> FloatArray:
    """Per model the mean of its groups' means, (m,): what to expect of a request of a group yet unseen.

    A model that was measured mostly on what it was made for is thus not expected to be as good at all else.
    A model without any score is expected to be like the mean of all.
    """
    rows = _sums((~np.isnan(scores)).astype(np.float64), groups, count)
    means = np.where(rows > 0, _sums(_filled(scores), groups, count) / np.maximum(rows, 1), np.nan)
    return column_means(means)


def _sums(values: FloatArray, groups: IntArray, count: int) -> FloatArray:
    """Sums of `values` (n, m) per group, (count, m)."""
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, groups, values)
    return sums


def _filled(scores: FloatArray) -> FloatArray:
    return np.where(np.isnan(scores), 0.0, scores)


def _within(rows: FloatArray, means: FloatArray, squares: FloatArray) -> FloatArray:
    """The pooled variance within groups of each model, (m,); a coin's where no group has two rows."""
    freedom = np.where(rows > 1, rows - 1, 0.0)
    spread = np.where(rows > 1, squares - rows * means**2, 0.0)
    total = freedom.sum(axis=0)
    inside = np.maximum(spread.sum(axis=0), 0)  # rounding may leave it below 0 where scores are all alike
    return np.where(total > 0, inside / np.maximum(total, 1), 0.25)


def _prior_rows(rows: FloatArray, means: FloatArray, within: FloatArray) -> FloatArray:
    """How many rows a model's own mean counts for in each group, (m,)."""
    filled = rows > 1
    groups = np.maximum(filled.sum(axis=0), 1)
    centre = np.where(filled, means, 0.0).sum(axis=0) / groups
    spread = np.where(filled, (means - centre) ** 2, 0.0).sum(axis=0) / groups
    noise = within * np.where(filled, 1 / np.maximum(rows, 1), 0.0).sum(axis=0) / groups
    return np.clip(within / np.maximum(spread - noise, 1e-9), 1.0, 1e4)
