"""The stack: what is known of a request's kind, and on top of it what several learners can add.

Each learner is fitted on what the kinds leave unexplained, and weighed by what it predicts of rows that it
has not seen. Two weights each: one for how hard a request is for all models, which is most of what can be
predicted and tells nothing of whom to ask; one for how the models differ, which is what routing lives on. A
weight is shrunk as far as its lead over knowing nothing is in doubt, so that where nothing is learnt the
models' means are left, and the choice between them is the blind one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import nnls as _nnls  # pyright: ignore

from pinnace.router.estimators.kinds import KindTable
from pinnace.router.estimators.learner import Learner, Rows, column_means, each_fold
from pinnace.router.types import FloatArray

nnls: Any = _nnls  # pyright: ignore
Make = Callable[[], Learner]


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a learner is believed: of the difference between models, and of their mean."""

    difference: float
    level: float

    def of(self, predicted: FloatArray) -> FloatArray:
        """The believed part of predictions (n, m)."""
        level = predicted.mean(axis=1, keepdims=True)
        return self.difference * (predicted - level) + self.level * level


class Stack:
    """Kinds first, then learners of what they leave, all weighed on rows that they have not seen.

    :param makes: each makes one unfitted learner.
    :param random_state: draws the folds.
    """

    def __init__(self, makes: Sequence[Make], *, random_state: int = 0) -> None:
        self.makes = tuple(makes)
        self.random_state = random_state

    def fit(self, rows: Rows) -> Self:
        """Learn `means_` (m,), `kinds_`, `kind_shares_`, `learners_`, `shares_`, and `held_out_` (n, m).

        `held_out_` is what would have been predicted of each row without its fold.
        """
        self.means_ = column_means(rows.scores)
        kinds, others = self._held_out(rows)
        target = rows.scores - self.means_
        (self.kind_shares_,) = weigh([kinds], target)
        based = self.kind_shares_.of(kinds)
        self.shares_ = weigh(others, target - based)
        self.held_out_ = self.means_ + based + _mixed(self.shares_, others)
        self.kinds_, self.learners_ = _fitted(self.makes, rows)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        kinds, others = _read(self.kinds_, self.learners_, features, self.means_)
        return self.means_ + self.kind_shares_.of(kinds) + _mixed(self.shares_, others)

    def _held_out(self, rows: Rows) -> tuple[FloatArray, list[FloatArray]]:
        """What kinds and learners that were fitted on the other folds say of each row, beyond the means."""
        kinds = np.zeros_like(rows.scores)
        others = [np.zeros_like(rows.scores) for _ in self.makes]
        for held, rest in each_fold(rows, self.random_state):
            means = column_means(rest.scores)
            table, learners = _fitted(self.makes, rest)
            kinds[held], found = _read(table, learners, rows.features[held], means)
            for other, each in zip(others, found, strict=True):
                other[held] = each
        return kinds, others


def _fitted(makes: Sequence[Make], rows: Rows) -> tuple[KindTable, list[Learner]]:
    kinds = KindTable().fit(rows)
    left = rows.with_scores(rows.scores - kinds.predict(rows.features))
    return kinds, [make().fit(left) for make in makes]


def _read(
    kinds: KindTable, learners: Sequence[Learner], features: FloatArray, means: FloatArray
) -> tuple[FloatArray, list[FloatArray]]:
    return kinds.predict(features) - means, [learner.predict(features) for learner in learners]


def _mixed(shares: Sequence[Shares], predictions: Sequence[FloatArray]) -> FloatArray:
    mixed = np.zeros_like(predictions[0])
    for share, predicted in zip(shares, predictions, strict=True):
        mixed += share.of(predicted)
    return mixed


def weigh(predictions: Sequence[FloatArray], target: FloatArray) -> tuple[Shares, ...]:
    """The share of each prediction (n, m) of `target` (n, m) that is believed, each 0 or more."""
    known = ~np.isnan(target)
    rows = known.any(axis=1)
    differences, levels = (
        _believed([part(p, known)[rows] for p in predictions], part(target, known)[rows])
        for part in (_differences, _levels)
    )
    return tuple(Shares(float(d), float(level)) for d, level in zip(differences, levels, strict=True))


def _levels(values: FloatArray, known: Any) -> FloatArray:
    """The mean of each row over the models that are known, (n, 1)."""
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, values, 0.0).sum(axis=1, keepdims=True) / counts


def _differences(values: FloatArray, known: Any) -> FloatArray:
    """Each value less its row's level, (n, m); 0 where it is not known."""
    return np.where(known, values - _levels(values, known), 0.0)


def _believed(predictions: Sequence[FloatArray], target: FloatArray) -> FloatArray:
    """Least squares with weights of 0 or more, shrunk by the doubt about their lead over predicting 0.

    The lead is the mean over rows of the squared error that is saved; where it is t standard errors, a share
    of 1 - 1 / t^2 is left, as in James and Stein's positive part.
    """
    x = np.stack([p.ravel() for p in predictions], axis=1)
    weights = np.asarray(nnls(x, target.ravel())[0], dtype=np.float64)
    predicted = (x @ weights).reshape(target.shape)
    leads = (target**2 - (target - predicted) ** 2).sum(axis=1)
    lead, error = float(leads.mean()), float(leads.std()) / np.sqrt(len(leads))
    return weights * max(0.0, 1 - (error / lead) ** 2) if lead > 0 else weights * 0.0
