"""Fitting one logistic model of the gate: the estimate, the evidence, and each cluster's own terms.

All but the intercept is shrunk toward nothing, and how far is the caller's choice (`Leeway`).

Values in, values out. Knows nothing of stages, folds or curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]

from pinnace.router.gate import ClusterTerms, Logistic
from pinnace.router.types import FloatArray

SLOPED = ("mean", "length")
"""The features that may mean more in one cluster than in another."""
FLAT = 1e-6
"""Standard deviation up to which a column is taken not to vary."""


@dataclass(frozen=True, slots=True)
class Leeway:
    """How far coefficients may go from nothing: prior standard deviations, in log-odds; 0 leaves them out.

    `evidence` is of the standardised evidence and of its products with the estimate: at 0 the estimate alone
    is left, calibrated. `intercepts` and `slopes` are of each cluster's own. The estimate has always 1.
    """

    evidence: float = 1.0
    intercepts: float = 0.0
    slopes: float = 0.0


def fit_logistic(
    features: FloatArray,
    labels: FloatArray,
    names: tuple[str, ...],
    membership: FloatArray,
    leeway: Leeway = Leeway(),
) -> Logistic:
    """A standardised logistic model in which what tells little is shrunk toward nothing.

    :param features: (n, f), the rows of `features_of` for the evidence in `names`.
    :param labels: (n,), 0.0 or 1.0.
    :param membership: (n, k), the weight of each cluster in each row.
    """
    centre = features.mean(axis=0)
    scale = np.maximum(features.std(axis=0), FLAT)
    sloped = tuple(names.index(name) for name in SLOPED if name in names)
    standard = (features - centre) / scale
    deviations = np.where(np.arange(len(centre)) == len(names), 1.0, leeway.evidence)
    columns = [deviations * standard, *_cluster_columns(standard, membership, sloped, leeway)]
    coefficients, intercept = _ridge(np.hstack(columns), labels)
    shared, clusters = deviations * coefficients[: len(centre)], coefficients[len(centre) :]
    return Logistic(
        tuple(centre.tolist()),
        tuple(scale.tolist()),
        tuple(shared.tolist()),
        intercept,
        names,
        _terms(clusters, membership.shape[1], sloped, leeway),
    )


def log_odds_of(logistic: Logistic, features: FloatArray, membership: FloatArray) -> FloatArray:
    """`Logistic.log_odds` of many rows at once: features (n, f) and membership (n, k) give (n,)."""
    standard = (features - np.array(logistic.centre)) / np.array(logistic.scale)
    odds = logistic.intercept + standard @ np.array(logistic.coefficients)
    terms = logistic.clusters
    if terms is None:
        return odds
    slopes = np.array(terms.slopes).reshape(len(terms.intercepts), len(terms.columns))
    tilts = (membership @ slopes * standard[:, list(terms.columns)]).sum(axis=1)
    return odds + membership @ np.array(terms.intercepts) + tilts


def _ridge(columns: FloatArray, labels: FloatArray) -> tuple[FloatArray, float]:
    """Coefficients with a prior deviation of 1 each, and the intercept."""
    if columns.std(axis=0).max() <= FLAT:  # the optimum is known, and Newton's line search stumbles on it
        share = float(labels.mean())
        return np.zeros(len(columns[0])), log(share / (1 - share))
    model: Any = LogisticRegression(C=1.0, max_iter=200, solver="newton-cholesky")
    model.fit(columns, labels > 0)
    return model.coef_[0], float(model.intercept_[0])


def _cluster_columns(
    standard: FloatArray, membership: FloatArray, sloped: Sequence[int], leeway: Leeway
) -> list[FloatArray]:
    """The clusters' columns, scaled so that one ridge for all shrinks each by its prior deviation."""
    intercepts = [leeway.intercepts * membership] if leeway.intercepts else []
    if not leeway.slopes:
        return intercepts
    return intercepts + [leeway.slopes * membership * standard[:, [column]] for column in sloped]


def _terms(found: FloatArray, k: int, sloped: tuple[int, ...], leeway: Leeway) -> ClusterTerms | None:
    """The coefficients of `_cluster_columns`, on the scale of what they multiply."""
    if not leeway.intercepts:
        return None
    intercepts = tuple((leeway.intercepts * found[:k]).tolist())
    if not leeway.slopes:
        return ClusterTerms(intercepts, (), ((),) * k)
    slopes: FloatArray = leeway.slopes * found[k:].reshape(len(sloped), k).T
    return ClusterTerms(intercepts, sloped, tuple(tuple(row) for row in slopes.tolist()))
