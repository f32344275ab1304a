"""Fitting an expectation: the estimator on all rows, and without each fold, and how good both are.

Values in, values out. All figures are of rows that the heads had not seen; features are made of all rows,
as they look at no score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from sklearn.metrics import roc_auc_score  # pyright: ignore

from pinnace.router.estimators.features import Seen
from pinnace.router.estimators.learner import FOLDS, Rows, column_means, folds_of, numbered
from pinnace.router.estimators.quality import QualityHeads, compiled, quality_stack
from pinnace.router.estimators.request import RequestEstimator
from pinnace.router.estimators.stack import Stack
from pinnace.router.expectation import Expectation, expectation_of, rounded, seen_features
from pinnace.router.types import FloatArray, IntArray

NGRAMS = 48
"""Directions of n-grams. On the rows of the state that ships, log loss and squared error are the same within
0.3 % from 16 to 96 and least at 48; each direction costs 16 KB."""


@dataclass(frozen=True, slots=True, eq=False)
class ExpectationFit:
    """An expectation, and what it says of its own n rows without having seen them, both (n, m) in 0..1.

    `held_out` comes from the stack's own folds, and is what the gate's priors are made of; `by_fold` from
    the heads of the folds as they are stored, which is what floors are calibrated on.
    """

    expectation: Expectation
    held_out: FloatArray
    by_fold: FloatArray
    metrics: dict[str, float]


def fit_expectation(
    seen: Seen,
    scores: FloatArray,
    tasks: Sequence[str],
    prompts: Sequence[str],
    models: Sequence[str],
    *,
    ngrams: int = NGRAMS,
    seed: int = 0,
) -> ExpectationFit:
    """Fit on n scored requests, (n, m), NaN where not run.

    :param tasks: of each row, to learn kinds from; rows of one of `prompts` share a fold.
    """
    unknown = np.full_like(scores, np.nan)
    fitted = RequestEstimator(ngrams, random_state=seed).fit(seen, scores, unknown, tasks, prompts)
    features, x = seen_features(fitted.features_, seen)
    rows = Rows(x, scores, numbered(tasks), numbered(prompts), features.dim_)
    folds = folds_of(rows.groups, seed)
    heads = [_without(rows, folds == fold, seed) for fold in range(FOLDS)]
    raw = Expectation(
        features,
        fitted.heads_,
        tuple(heads),
        fitted.centre_,
        fitted.covariance_,
        fitted.residual_,
        fitted.rows_,
    )
    kept = expectation_of(rounded(raw.arrays()), dim=features.dim_, folds=FOLDS, rows=fitted.rows_)
    held_out = np.clip(fitted.stack_.held_out_, 0.0, 1.0)
    by_fold = kept.quality_by_fold(x, folds)
    return ExpectationFit(kept, held_out, by_fold, _metrics(fitted.stack_, held_out, scores, models))


def _without(rows: Rows, held: "np.ndarray[tuple[int], np.dtype[np.bool_]]", seed: int) -> QualityHeads:
    """The heads that the rows outside a fold teach; of all rows where they are all in it."""
    rest = rows if held.all() else rows.take(~held)
    return compiled(quality_stack(rows.dim, random_state=seed).fit(rest), rows.features.shape[1])


def _metrics(
    stack: Stack, held_out: FloatArray, scores: FloatArray, models: Sequence[str]
) -> dict[str, float]:
    """What the estimates are worth on rows that they have not seen, beside the models' means.

    Before strangers are drawn toward the means: what a request is given, and the gate starts from, is less.
    """
    known = ~np.isnan(scores)
    error = np.where(known, scores - held_out, 0.0)
    blind = np.where(known, scores - column_means(scores), 0.0)
    cells = max(int(known.sum()), 1)
    found = {
        "estimates/mse": float((error**2).sum()) / cells,
        "estimates/mse_means": float((blind**2).sum()) / cells,
        "estimates/kinds": float(len(stack.kinds_.table_)),
    }
    names = ("kinds", "meaning", "form")
    for name, shares in zip(names, (stack.kind_shares_, *stack.shares_), strict=True):
        found[f"estimates/share_{name}_difference"] = shares.difference
        found[f"estimates/share_{name}_level"] = shares.level
    for column, model in enumerate(models):
        rows: IntArray = np.flatnonzero(known[:, column])
        labels = scores[rows, column] >= 0.5
        if len(np.unique(labels)) == 2:
            auroc = cast(Callable[[Any, Any], float], roc_auc_score)
            found[f"estimates/auroc_{model}"] = float(auroc(labels, held_out[rows, column]))
    return found
