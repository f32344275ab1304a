"""The quality that a request can expect of each model: kinds, and linear heads on its meaning and its form.

This is what the router serves with. On the public tables more learners (k-means tables, nearest neighbours,
landmarks) add nothing that holds across tables (docs/log.md); two heads cost microseconds and a few
hundred kilobytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from pinnace.router.estimators.kinds import KindTable, softmax
from pinnace.router.estimators.learner import Rows, each_fold
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.estimators.stack import Shares, Stack
from pinnace.router.types import FloatArray

MEANING_PENALTY = 100.0
FORM_PENALTY = 30.0
"""Of the head on the embedding, and of that on n-grams and marks."""
NEW_MODEL_PENALTY = 300.0
KIND_PRIOR_ROWS = 10.0
"""Rows that a new model's lead of 0 counts for in each kind."""


@dataclass(frozen=True, slots=True, eq=False)
class QualityHeads:
    """The fitted estimator as plain arrays: d features, c kinds, m models.

    Quality is softmax(x @ kind_weights + kind_intercepts) @ kind_table + x @ weights + intercepts.
    """

    kind_weights: FloatArray
    kind_intercepts: FloatArray
    kind_table: FloatArray
    weights: FloatArray
    intercepts: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores within 0 and 1, (n, m), of features (n, d)."""
        return np.clip(self._unbounded(features), 0.0, 1.0)

    def _unbounded(self, features: FloatArray) -> FloatArray:
        kinds = softmax(features @ self.kind_weights + self.kind_intercepts)
        return kinds @ self.kind_table + features @ self.weights + self.intercepts

    def arrays(self) -> Mapping[str, FloatArray]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_model(self, rows: Rows, *, random_state: int = 0) -> "QualityHeads":
        """The same with one model more, from its scores (n, 1) on a few hundred rows; no other is refitted.

        The new model is described by the others: a ridge regression of its scores on their estimates, then
        its lead over that in each kind, and a strongly held head for what is left. All this is believed as
        far as it predicts rows that it has not seen, drawn by `random_state`: where nothing is learnt, the
        mean is left.
        """
        rows = rows.take(~np.isnan(rows.scores[:, 0]))
        table, weights, intercept = self._describe(rows)
        share, mean = self._share(rows, random_state), float(rows.scores.mean())
        return QualityHeads(
            self.kind_weights,
            self.kind_intercepts,
            np.hstack([self.kind_table, share * table]),
            np.hstack([self.weights, share * weights]),
            np.append(self.intercepts, share * intercept + (1 - share) * mean),
        )

    def _describe(self, rows: Rows) -> tuple[FloatArray, FloatArray, FloatArray]:
        """A new model's column of the kinds (c, 1), its weights (d, 1) and its intercept (1,)."""
        others = self._unbounded(rows.features)  # as the new model's arrays will mix them
        described = LinearHeads(len(others) * float(others.var(axis=0).mean()) + 1.0)
        described.fit(Rows(others, rows.scores, rows.kinds, rows.groups, others.shape[1]))
        mix = described.weights_
        left = rows.scores - described.predict(others)
        kinds = softmax(rows.features @ self.kind_weights + self.kind_intercepts)
        lead = kinds.T @ left / (kinds.sum(axis=0)[:, None] + KIND_PRIOR_ROWS)
        own = LinearHeads(NEW_MODEL_PENALTY).fit(rows.with_scores(left - kinds @ lead))
        intercept = self.intercepts @ mix + described.intercepts_ + own.intercepts_
        return self.kind_table @ mix + lead, self.weights @ mix + own.weights_, intercept

    def _share(self, rows: Rows, random_state: int) -> float:
        """How much of a description is believed, 0 to 1: the least squares' share on held-out rows."""
        kinds = softmax(rows.features @ self.kind_weights + self.kind_intercepts)
        told, target = np.zeros(len(rows.groups)), np.zeros(len(rows.groups))
        for held, rest in each_fold(rows, random_state):
            table, weights, intercept = self._describe(rest)
            mean = rest.scores.mean()
            told[held] = (kinds[held] @ table + rows.features[held] @ weights + intercept)[:, 0] - mean
            target[held] = rows.scores[held, 0] - mean
        return float(np.clip(told @ target / max(float(told @ told), 1e-12), 0.0, 1.0))


def quality_stack(dim: int, *, random_state: int = 0) -> Stack:
    """The unfitted stack whose heads `compiled` puts together; `dim` is the length of the embedding."""
    return Stack(
        [
            lambda: LinearHeads(MEANING_PENALTY, slice(0, dim)),
            lambda: LinearHeads(FORM_PENALTY, slice(dim, None)),
        ],
        random_state=random_state,
    )


def compiled(stack: Stack, width: int) -> QualityHeads:
    """A fitted `quality_stack` as plain arrays; `width` is the number of features."""
    weights = np.zeros((width, len(stack.means_)))
    intercepts = np.zeros(len(stack.means_))
    for shares, learner in zip(stack.shares_, stack.learners_, strict=True):
        assert isinstance(learner, LinearHeads), "the quality stack is made of linear heads"
        weights[learner.view] += shares.of(learner.weights_)
        intercepts += shares.of(learner.intercepts_[None, :])[0]
    kinds = stack.kinds_
    return QualityHeads(
        kinds.weights_,
        kinds.intercepts_,
        _believed(kinds, stack.kind_shares_, stack.means_),
        weights,
        intercepts,
    )


def _believed(kinds: KindTable, shares: Shares, means: FloatArray) -> FloatArray:
    return means + shares.of(kinds.table_ - means)
