"""A committee: linear heads beside neighbourhoods, the same rows seen in several ways.

Neighbours are sought by meaning, by form, by what tells the kinds apart, and by these together; all of them
and the table of kinds count alike. It reaches further than linear heads where many requests are alike
(docs/log.md), at the price of a search through all rows for every request, so it tells what is to be had
and does not serve.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.discriminant_analysis import (  # pyright: ignore[reportMissingTypeStubs]
    LinearDiscriminantAnalysis,
)

from pinnace.router.estimators.kinds import SHRINKAGE, KindTable, merged
from pinnace.router.estimators.learner import Learner, Rows, column_means, each_fold
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.estimators.neighbours import Neighbours
from pinnace.router.estimators.quality import FORM_PENALTY, MEANING_PENALTY
from pinnace.router.estimators.stack import weigh
from pinnace.router.types import FloatArray
from pinnace.router.vectors import normalised

COUNTS = (60, 150)
"""Neighbours in each view: near ones, and enough to be sure of."""


class Committee:
    """Neighbourhoods and two linear heads, weighed together by least squares on rows that they have not seen.

    :param ngrams: directions of n-grams, after the embedding's columns in the features.
    :param random_state: draws the folds.
    """

    def __init__(self, ngrams: int, *, random_state: int = 0) -> None:
        self.ngrams = ngrams
        self.random_state = random_state

    def fit(self, rows: Rows) -> Self:
        """Learn `means_` (m,), `learners_`, and `shares_`, how much each is believed."""
        self.means_ = column_means(rows.scores)
        self.shares_ = weigh(self._held_out(rows), rows.scores - self.means_)
        self.learners_ = [each.fit(rows) for each in self._unfitted(rows.dim)]
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        said = zip(self.shares_, self.learners_, strict=True)
        return self.means_ + sum(share.of(each.predict(features) - self.means_) for share, each in said)

    def _unfitted(self, dim: int) -> Sequence[Learner]:
        return (
            Neighbourhoods(self.ngrams),
            LinearHeads(MEANING_PENALTY, slice(0, dim)),
            LinearHeads(FORM_PENALTY, slice(dim, None)),
        )

    def _held_out(self, rows: Rows) -> Sequence[FloatArray]:
        """What each that was fitted on the other folds says of each row, beyond the means."""
        found = [np.zeros_like(rows.scores) for _ in self._unfitted(rows.dim)]
        for held, rest in each_fold(rows, self.random_state):
            means = column_means(rest.scores)
            for each, learner in zip(found, self._unfitted(rows.dim), strict=True):
                each[held] = learner.fit(rest).predict(rows.features[held]) - means
        return found


class Neighbourhoods:
    """The mean of what kinds and every view's neighbours say.

    :param ngrams: directions of n-grams, after the embedding's columns in the features.
    """

    def __init__(self, ngrams: int) -> None:
        self._ngrams = ngrams

    def fit(self, rows: Rows) -> Self:
        """Keep the rows as each view sees them."""
        self._dim = rows.dim
        self._discriminants = _discriminants(rows)
        self._kinds = KindTable().fit(rows)
        self._views = [
            [Neighbours(count).fit(Rows(view, rows.scores, rows.kinds, rows.groups, view.shape[1]))
             for count in COUNTS]
            for view in self._seen(rows.features)
        ]  # fmt: skip
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Expected scores, (n, m)."""
        said = [self._kinds.predict(features)]
        for view, neighbourhoods in zip(self._seen(features), self._views, strict=True):
            said += [each.predict(view) for each in neighbourhoods]
        return np.mean(said, axis=0)

    def _seen(self, features: FloatArray) -> Sequence[FloatArray]:
        """The features in each way of looking at them, every part of length one."""
        meaning = normalised(features[:, : self._dim])
        form = normalised(features[:, self._dim : self._dim + self._ngrams])
        kind = normalised(features @ self._discriminants)
        both = np.hstack([meaning, form])
        return (meaning, both, kind, np.hstack([meaning, kind]), np.hstack([both, kind]))


def _discriminants(rows: Rows) -> FloatArray:
    """Directions (d, kinds - 1) that tell the kinds apart; none where there is one kind."""
    kinds = merged(rows.kinds)
    if len(np.unique(kinds)) < 2:
        return np.zeros((rows.features.shape[1], 1))
    found: Any = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE)
    found.fit(rows.features, kinds)
    return np.asarray(found.scalings_[:, : len(found.classes_) - 1], dtype=np.float64)
