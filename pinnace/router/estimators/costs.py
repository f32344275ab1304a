"""Cost heads: what each model's answer to a request will cost, mostly by its length and its kind."""

from typing import Self

import numpy as np

from pinnace.router.estimators.learner import Rows, column_means
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.types import FloatArray

PENALTY = 10.0
LEAST = 1e-3
"""Part of a model's mean cost below which a cost counts as this part, and above whose inverse as that."""


class CostHeads:
    """Ridge regression of the logarithm of each model's cost, set right so that the mean is kept."""

    def fit(self, rows: Rows) -> Self:
        """Learn `means_` (m,), `heads_`, `gain_` (m,) from rows whose scores are costs, in any unit."""
        self.means_ = np.maximum(column_means(rows.scores), 1e-300)
        relative = np.clip(rows.scores / self.means_, LEAST, 1 / LEAST)
        self.heads_ = LinearHeads(PENALTY).fit(rows.with_scores(np.log(relative)))
        known = ~np.isnan(rows.scores)
        counted = known | ~known.any(axis=0)  # a model whose cost is nowhere known keeps the mean of all
        raw = np.where(counted, self._raw(rows.features), 0.0)
        self.gain_ = counted.sum(axis=0) / raw.sum(axis=0)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected costs, (n, m): `gain_` times a thousandth to a thousand times of the model's mean."""
        return self.means_ * self.gain_ * self._raw(features)

    def _raw(self, features: FloatArray) -> FloatArray:
        return np.exp(np.clip(self.heads_.predict(features), np.log(LEAST), -np.log(LEAST)))
