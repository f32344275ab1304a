"""A quality floor as it serves: estimates by the heads of folds, and the rows that calibrate it.

Follows `pinnace.router.fit` and `pinnace.router.forecast`: a calibration row is judged by the heads that
have not seen its fold, a request by those of a fold at random. Features look at no score and are made once,
of all rows. Costs are expected by `CostHeads`, as tables tell what an answer cost and not how long it was.
Knows no rule and no floor.
"""

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.fold_heads import FoldHeads, fit_fold_heads
from pinnace.eval.recorded_rows import Recorded
from pinnace.eval.resplit import Judged, Outcomes
from pinnace.router.estimators.features import Features
from pinnace.router.estimators.learner import FOLDS, Rows, folds_of, numbered
from pinnace.router.expectation import seen_features
from pinnace.router.expectation_fit import NGRAMS
from pinnace.router.types import IntArray

MIN_ROWS = 100


def outcomes_of(recorded: Recorded) -> Outcomes:
    """Recorded rows with the features that `pinnace fit` makes of them.

    :raises TableError: when there is no large model, no small one or no cost, or there are too few rows.
    """
    if recorded.large is None or not len(recorded.small):
        raise TableError(f"expected small models and a large one, got {', '.join(recorded.pool.models)}")
    if len(recorded) < MIN_ROWS:
        raise TableError(f"expected at least {MIN_ROWS} rows that every model ran on, got {len(recorded)}")
    if not recorded.costs.any():
        raise TableError("expected a table with costs, as a floor is about saving them, got none")
    _, x = seen_features(Features(NGRAMS).fit(recorded.seen), recorded.seen)
    dim = recorded.seen.vectors.shape[1]
    rows = Rows(x, recorded.scores, numbered(recorded.tasks), numbered(recorded.prompts), dim)
    return Outcomes(rows, recorded.costs, recorded.large)


def judge_by_folds(known: Outcomes, unknown: Outcomes, seed: int) -> tuple[Judged, Judged]:
    """The calibration rows as `pinnace fit` judges them, and new requests as the router does."""
    _, groups = np.unique(known.rows.groups, return_inverse=True)
    folds = folds_of(groups, seed)
    heads = fit_fold_heads(known.rows, known.costs, folds)
    drawn = np.random.default_rng(seed).integers(0, FOLDS, len(unknown.costs))
    return _judged(known, folds, heads), _judged(unknown, drawn, heads)


def _judged(asked: Outcomes, folds: IntArray, heads: tuple[FoldHeads, ...]) -> Judged:
    """Each row by the heads of its fold."""
    x = asked.rows.features
    quality, usd = np.empty_like(asked.costs), np.empty_like(asked.costs)
    for fold, each in enumerate(heads):
        own = np.flatnonzero(folds == fold)
        quality[own], usd[own] = each.quality.predict(x[own]), each.costs.predict(x[own])
    return Judged(quality, usd)
