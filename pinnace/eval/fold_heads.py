"""Heads without each fold, as `pinnace fit` stores them for a quality floor, fitted many times faster.

The numbers are those of `quality_stack` and `CostHeads` on the rows outside a fold; only the way to them
differs. The stack's own folds are the outer ones, as in a fit (where one stack in five draws its own), so
what is learnt without folds a and b serves both the stack without a and the one without b: 15 fits in place
of 25. The sums of products of the features are made once per fold and added up. Knows nothing of floors,
and no row with a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from pinnace.router.estimators.costs import LEAST, PENALTY, CostHeads
from pinnace.router.estimators.kinds import SHRINKAGE, KindTable
from pinnace.router.estimators.learner import FOLDS, Learner, Rows, column_means
from pinnace.router.estimators.linear import EVERYTHING, LinearHeads
from pinnace.router.estimators.quality import (
    FORM_PENALTY,
    MEANING_PENALTY,
    QualityHeads,
    compiled,
    quality_stack,
)
from pinnace.router.estimators.stack import weigh
from pinnace.router.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class FoldHeads:
    """What the rows outside one fold teach: expected quality, and expected cost in the unit of the costs."""

    quality: QualityHeads
    costs: CostHeads


def fit_fold_heads(rows: Rows, costs: FloatArray, folds: IntArray) -> tuple[FoldHeads, ...]:
    """The heads without each of `FOLDS` folds.

    :param rows: n rows of m models, all scores known.
    :param costs: (n, m), all known.
    :param folds: of each row, (n,), in 0..FOLDS-1; at least two folds have rows.
    """
    shared = _Shared(rows, costs, folds)
    pairs = {pair: shared.learn(pair) for pair in combinations(range(FOLDS), 2)}
    return tuple(shared.heads(fold, pairs) for fold in range(FOLDS))


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Sums over `rows` rows: of the features, (d,), and of their products, (d, d)."""

    rows: int
    sums: FloatArray
    products: FloatArray

    def __add__(self, other: "_Moments") -> "_Moments":
        return _Moments(self.rows + other.rows, self.sums + other.sums, self.products + other.products)

    def scatter(self, view: slice = EVERYTHING) -> FloatArray:
        """Products of the centred features that `view` names."""
        sums = self.sums[view]
        return self.products[view, view] - np.outer(sums, sums) / self.rows


class _Kinds(KindTable):
    """A kind table whose discriminant is made from `moments` of its rows."""

    def __init__(self, moments: _Moments) -> None:
        self.moments = moments

    def _discriminate(self, features: FloatArray, kinds: IntArray) -> None:
        counts = np.bincount(kinds).astype(np.float64)
        means = (np.eye(len(counts))[kinds].T @ features) / counts[:, None]
        covariance = (self.moments.products - (counts * means.T) @ means) / len(kinds)
        covariance *= 1 - SHRINKAGE
        ridge = SHRINKAGE / (1 - SHRINKAGE) * float(np.trace(covariance)) / len(covariance)
        self.weights_ = _solved(covariance, ridge, means.T)
        self.intercepts_ = np.log(counts / len(kinds)) - 0.5 * (means * self.weights_.T).sum(axis=1)


class _Heads(LinearHeads):
    """Linear heads from `moments` of their rows, of which every model ran on all."""

    def __init__(self, moments: _Moments, penalty: float, view: slice = EVERYTHING) -> None:
        super().__init__(penalty, view)
        self.moments = moments

    def fit(self, rows: Rows) -> Self:
        """See `LinearHeads.fit`."""
        mean = rows.scores.mean(axis=0)
        crossed = rows.features[:, self.view].T @ (rows.scores - mean)
        self.weights_ = _solved(self.moments.scatter(self.view), self.penalty, crossed)
        self.intercepts_ = mean - self.moments.sums[self.view] / self.moments.rows @ self.weights_
        return self


class _Costs(CostHeads):
    """Cost heads from `moments` of their rows, of which every cost is known."""

    def __init__(self, moments: _Moments) -> None:
        self.moments = moments

    def fit(self, rows: Rows) -> Self:
        """See `CostHeads.fit`."""
        self.means_ = np.maximum(column_means(rows.scores), 1e-300)
        relative = np.clip(rows.scores / self.means_, LEAST, 1 / LEAST)
        self.heads_ = _Heads(self.moments, PENALTY).fit(rows.with_scores(np.log(relative)))
        self.gain_ = len(relative) / self._raw(rows.features).sum(axis=0)
        return self


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    """A kind table and what learners make of what it leaves; `means` (m,) of the rows they learnt from."""

    means: FloatArray
    kinds: KindTable
    learners: tuple[Learner, ...]

    def read(self, features: FloatArray) -> list[FloatArray]:
        """What kinds and learners say of rows beyond the means, each (n, m)."""
        kinds = self.kinds.predict(features) - self.means
        return [kinds, *(learner.predict(features) for learner in self.learners)]


Pairs = Mapping[tuple[int, int], _Learnt]


class _Shared:
    """Rows in folds, with the sums of each fold."""

    def __init__(self, rows: Rows, costs: FloatArray, folds: IntArray) -> None:
        self.rows = rows
        self.costs = costs
        self.folds = folds
        self.moments = [_moments(rows.features[folds == fold]) for fold in range(FOLDS)]

    def learn(self, without: Sequence[int]) -> _Learnt:
        """What the rows outside some folds teach."""
        rows, moments = self._rest(without)
        kinds = _Kinds(moments).fit(rows)
        left = rows.with_scores(rows.scores - kinds.predict(rows.features))
        views = ((MEANING_PENALTY, slice(0, rows.dim)), (FORM_PENALTY, slice(rows.dim, None)))
        learners = tuple(_Heads(moments, penalty, view).fit(left) for penalty, view in views)
        return _Learnt(column_means(rows.scores), kinds, learners)

    def heads(self, fold: int, pairs: Pairs) -> FoldHeads:
        """The heads without a fold: a stack as `Stack.fit` leaves it, compiled, and the costs."""
        stack, learnt = quality_stack(self.rows.dim), self.learn((fold,))
        kinds, others = self._held_out(fold, pairs)
        rest, moments = self._rest((fold,))
        target = rest.scores - learnt.means
        (stack.kind_shares_,) = weigh([kinds], target)
        stack.shares_ = weigh(others, target - stack.kind_shares_.of(kinds))
        stack.means_, stack.kinds_, stack.learners_ = learnt.means, learnt.kinds, list(learnt.learners)
        costs = rest.with_scores(self.costs[self.folds != fold])
        return FoldHeads(compiled(stack, rest.features.shape[1]), _Costs(moments).fit(costs))

    def _held_out(self, fold: int, pairs: Pairs) -> tuple[FloatArray, list[FloatArray]]:
        """What is said of each row outside `fold` by what was learnt without its fold either."""
        found = [np.zeros_like(self.rows.scores) for _ in range(3)]
        for other in range(FOLDS):
            held = self.folds == other
            if other != fold and held.any():
                learnt = pairs[min(fold, other), max(fold, other)]
                for whole, part in zip(found, learnt.read(self.rows.features[held]), strict=True):
                    whole[held] = part
        kinds, *others = (each[self.folds != fold] for each in found)
        return kinds, others

    def _rest(self, without: Sequence[int]) -> tuple[Rows, _Moments]:
        """The rows outside some folds, and their moments."""
        kept = [self.moments[fold] for fold in range(FOLDS) if fold not in without]
        return self.rows.take(~np.isin(self.folds, without)), sum(kept[1:], start=kept[0])


def _moments(features: FloatArray) -> _Moments:
    return _Moments(len(features), features.sum(axis=0), features.T @ features)


def _solved(a: FloatArray, ridge: float, b: FloatArray) -> FloatArray:
    """The solution x of (a + ridge) x = b."""
    return np.linalg.solve(a + ridge * np.eye(len(a)), b).astype(np.float64, copy=False)
