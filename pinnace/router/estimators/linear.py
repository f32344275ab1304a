"""Linear heads: one ridge regression per model on the request's features."""

from typing import Self

import numpy as np

from pinnace.router.estimators.learner import Rows, column_means
from pinnace.router.types import FloatArray, IntArray

EVERYTHING = slice(None)


class LinearHeads:
    """Ridge regression of each model's score on the features.

    Models that ran on the same rows share one decomposition, so that dozens of models cost little more
    than one.

    :param penalty: the ridge's; features of length about one want 10 to 300.
    :param view: which columns of the features it looks at; all by default.
    """

    def __init__(self, penalty: float, view: slice = EVERYTHING) -> None:
        self.penalty = penalty
        self.view = view

    def fit(self, rows: Rows) -> Self:
        """Learn `weights_` (d, m) and `intercepts_` (m,)."""
        features, scores = rows.features[:, self.view], rows.scores
        self.weights_ = np.zeros((features.shape[1], scores.shape[1]))
        self.intercepts_ = column_means(scores)
        patterns, which = np.unique(~np.isnan(scores), axis=1, return_inverse=True)
        for pattern in range(patterns.shape[1]):
            run = patterns[:, pattern]
            if run.any():
                self._solve(features[run], scores[run], np.flatnonzero(which == pattern))
        return self

    def _solve(self, features: FloatArray, scores: FloatArray, columns: IntArray) -> None:
        x, y = features, scores[:, columns]
        centre, mean = x.mean(axis=0), y.mean(axis=0)
        weights = ridge(x - centre, y - mean, self.penalty)
        self.weights_[:, columns] = weights
        self.intercepts_[columns] = mean - centre @ weights

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        return features[:, self.view] @ self.weights_ + self.intercepts_


def ridge(x: FloatArray, y: FloatArray, penalty: float) -> FloatArray:
    """The ridge solution (d, m) for centred x (n, d) and y (n, m), by the smaller of its two forms."""
    n, d = x.shape
    if n < d:
        return x.T @ _solve(x @ x.T + penalty * np.eye(n), y)
    return _solve(x.T @ x + penalty * np.eye(d), x.T @ y)


def _solve(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.linalg.solve(a, b).astype(np.float64, copy=False)
