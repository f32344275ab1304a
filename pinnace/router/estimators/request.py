"""The estimator of requests: quality with its uncertainty, and cost, of every model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pinnace.router.estimators.costs import CostHeads
from pinnace.router.estimators.features import Features, Seen
from pinnace.router.estimators.learner import Rows, numbered
from pinnace.router.estimators.quality import MEANING_PENALTY, compiled, quality_stack
from pinnace.router.types import FloatArray

COIN = 0.25
"""The variance of a score of which nothing is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Expected `quality` (n, m) in 0..1 with its standard deviation `sd` (n, m), and `cost` (n, m) in USD."""

    quality: FloatArray
    sd: FloatArray
    cost: FloatArray


class RequestEstimator:
    """Quality and cost of m models on a request, from scored requests.

    :param ngrams: directions of character n-grams among the features.
    :param random_state: draws the folds and the n-grams' directions.
    """

    def __init__(self, ngrams: int = 96, *, random_state: int = 0) -> None:
        self.ngrams = ngrams
        self.random_state = random_state

    def fit(
        self, seen: Seen, scores: FloatArray, costs: FloatArray, tasks: Sequence[str], prompts: Sequence[str]
    ) -> Self:
        """Learn `features_`, `stack_`, `heads_`, `costs_`, and what uncertainty needs.

        :param scores: (n, m) in 0..1; `costs` (n, m) in USD; NaN where not known.
        :param tasks: of each row, used to learn kinds from; rows of one of `prompts` share a fold.
        """
        self.features_ = Features(self.ngrams, random_state=self.random_state).fit(seen)
        x = self.features_.transform(seen)
        rows = Rows(x, scores, numbered(tasks), numbered(prompts), self.features_.dim_)
        self.stack_ = quality_stack(rows.dim, random_state=self.random_state).fit(rows)
        self.heads_ = compiled(self.stack_, x.shape[1])
        known = costs if not np.isnan(costs).all() else np.ones_like(costs)
        self.costs_ = CostHeads().fit(rows.with_scores(known))
        self._fit_uncertainty(rows)
        return self

    def estimate(self, seen: Seen) -> Estimates:
        """What to expect of each model on each request."""
        x = self.features_.transform(seen)
        return Estimates(self.heads_.predict(x), self._sd(x), self.costs_.predict(x))

    def _fit_uncertainty(self, rows: Rows) -> None:
        """Learn the weights' `covariance_` (d, d) up to scale, and each model's `residual_` variance (m,).

        A model that ran on part of the rows has a larger one in proportion, and every model starts from one
        row of a coin's: a model of which nothing is known is as uncertain as can be.
        """
        self.centre_ = rows.features.mean(axis=0)
        centred = rows.features - self.centre_
        penalty = MEANING_PENALTY * np.eye(centred.shape[1])
        self.covariance_: FloatArray = np.linalg.inv(centred.T @ centred + penalty)
        self.rows_ = len(centred)
        squares = (rows.scores - self.stack_.held_out_) ** 2
        known = (~np.isnan(squares)).sum(axis=0) + 1
        self.residual_ = (np.nansum(squares, axis=0) + COIN) / known * (self.rows_ / known)

    def _sd(self, x: FloatArray) -> FloatArray:
        """Standard deviation of the expected quality, as in Bayesian linear regression, (n, m)."""
        centred = x - self.centre_
        leverage = 1 / self.rows_ + ((centred @ self.covariance_) * centred).sum(axis=1)
        return np.sqrt(leverage[:, None] * self.residual_)
