"""Factors: what models have in common, learnt once for all of them, as item-response models do.

Scores are taken apart into a few directions in which many models rise and fall together (their principal
components), and each direction has one linear head. With dozens of models and few rows each this is steadier
than a head per model.
"""

from typing import Self

import numpy as np

from pinnace.router.estimators.learner import Rows, column_means
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.types import FloatArray

ROUNDS = 20
"""Times that unknown scores are filled in from the factors, as in soft imputation."""


class FactorHeads:
    """Reduced-rank ridge regression: `rank` directions of the scores, each predicted from the features.

    :param rank: directions; at most the number of models.
    :param penalty: of each direction's ridge.
    """

    def __init__(self, rank: int = 3, penalty: float = 100.0) -> None:
        self.rank = rank
        self.penalty = penalty

    def fit(self, rows: Rows) -> Self:
        """Learn `means_` (m,), `loadings_` (m, rank) and `heads_`."""
        self.means_ = column_means(rows.scores)
        self.loadings_, factors = _factors(rows.scores - self.means_, self.rank)
        self.heads_ = LinearHeads(self.penalty).fit(rows.with_scores(factors))
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        return self.means_ + self.heads_.predict(features) @ self.loadings_.T


def _factors(centred: FloatArray, rank: int) -> tuple[FloatArray, FloatArray]:
    """Orthonormal loadings (m, rank) and the factors (n, rank) of centred scores; unknown ones filled in."""
    known = ~np.isnan(centred)
    filled = np.where(known, centred, 0.0)
    loadings = _loadings(filled, rank)
    for _ in range(0 if known.all() else ROUNDS):
        filled = np.where(known, centred, filled @ loadings @ loadings.T)
        loadings = _loadings(filled, rank)
    return loadings, filled @ loadings


def _loadings(filled: FloatArray, rank: int) -> FloatArray:
    _, turned = np.linalg.eigh(filled.T @ filled)
    return np.asarray(turned[:, ::-1][:, :rank], dtype=np.float64)
