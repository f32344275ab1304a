"""Kind tables: clusters that are learnt from the names of the tasks, where a table of outcomes has them.

A request's kind is guessed from its features by a shrunken linear discriminant; the task's name is used on
rows that are learnt from, never on a request.
"""

from typing import Any, Self

import numpy as np
from sklearn.discriminant_analysis import (  # pyright: ignore[reportMissingTypeStubs]
    LinearDiscriminantAnalysis,
)

from pinnace.router.estimators.learner import Rows
from pinnace.router.estimators.tables import group_means
from pinnace.router.types import FloatArray, IntArray

MIN_ROWS = 20
"""Rows below which a task is no kind of its own."""
SHRINKAGE = 0.1
"""Of the discriminant's covariance: 0.01 to 0.3 make no difference on the public tables."""


class KindTable:
    """Mean scores per kind, mixed by the probability of each kind."""

    def fit(self, rows: Rows) -> Self:
        """Learn `table_` (kinds, m), and `weights_` (d, kinds) and `intercepts_` (kinds,) of log-odds."""
        names, kinds = np.unique(merged(rows.kinds), return_inverse=True)
        self.table_ = group_means(rows.scores, kinds, len(names))[0]
        self.weights_ = np.zeros((rows.features.shape[1], len(names)))
        self.intercepts_ = np.zeros(len(names))
        if len(names) > 1:
            self._discriminate(rows.features, kinds)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        return softmax(features @ self.weights_ + self.intercepts_) @ self.table_

    def _discriminate(self, features: FloatArray, kinds: IntArray) -> None:
        discriminant: Any = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
        discriminant.fit(features, kinds)
        weights, intercepts = discriminant.coef_.T, discriminant.intercept_
        if weights.shape[1] == 1:  # scikit-learn gives two classes one column, the odds of the second
            weights, intercepts = np.hstack([weights * 0, weights]), np.append(0.0, intercepts)
        self.weights_, self.intercepts_ = np.asarray(weights), np.asarray(intercepts)


def softmax(odds: FloatArray) -> FloatArray:
    """Rows of log-odds as probabilities, (n, k)."""
    raised = np.exp(odds - odds.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def merged(kinds: IntArray) -> IntArray:
    """Kinds with those that have few rows made one; a single row left over joins the largest."""
    names, which, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    merged = np.where(counts[which] >= MIN_ROWS, names[which], -1)
    if (merged == -1).sum() == 1:  # one row has no covariance
        merged[merged == -1] = names[counts.argmax()]
    return merged
