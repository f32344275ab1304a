"""Fitting one logistic model of the gate: a ridge, and terms of each cluster pooled toward nothing.

Values in, values out. Knows nothing of stages, folds or curves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]

from pinnace.router.gate import ClusterTerms, Logistic
from pinnace.router.types import FloatArray

SLOPED = ("mean", "length")
"""The features that may mean more in one cluster than in another."""


def fit_logistic(
    features: FloatArray,
    labels: FloatArray,
    names: tuple[str, ...],
    membership: FloatArray,
    pooling: tuple[float, float] = (0.0, 0.0),
) -> Logistic:
    """A standardised logistic model with a ridge, and terms of each cluster that are pooled toward nothing.

    :param features: (n, f), the rows of `features_of` for the evidence in `names`.
    :param labels: (n,), 0.0 or 1.0.
    :param membership: (n, k), the weight of each cluster in each row.
    :param pooling: prior standard deviations of the clusters' intercepts and slopes.
    """
    centre = features.mean(axis=0)
    scale = np.maximum(features.std(axis=0), 1e-6)
    sloped = tuple(names.index(name) for name in SLOPED if name in names)
    standard = (features - centre) / scale
    model: Any = LogisticRegression(C=1.0, max_iter=200, solver="newton-cholesky")
    model.fit(np.hstack([standard, *_cluster_columns(standard, membership, sloped, pooling)]), labels > 0)
    coefficients: FloatArray = model.coef_[0]
    shared, clusters = coefficients[: len(centre)], coefficients[len(centre) :]
    return Logistic(
        tuple(centre.tolist()),
        tuple(scale.tolist()),
        tuple(shared.tolist()),
        float(model.intercept_[0]),
        names,
        _terms(clusters, membership.shape[1], sloped, pooling),
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


def _cluster_columns(
    standard: FloatArray, membership: FloatArray, sloped: Sequence[int], pooling: tuple[float, float]
) -> list[FloatArray]:
    """The clusters' columns, scaled so that one ridge for all pools each by its prior deviation."""
    intercept_sd, slope_sd = pooling
    intercepts = [intercept_sd * membership] if intercept_sd else []
    slopes = [slope_sd * membership * standard[:, [column]] for column in sloped] if slope_sd else []
    return intercepts + slopes


def _terms(
    found: FloatArray, k: int, sloped: tuple[int, ...], pooling: tuple[float, float]
) -> ClusterTerms | None:
    """The coefficients of `_cluster_columns`, on the scale of what they multiply."""
    intercept_sd, slope_sd = pooling
    if not intercept_sd:
        return None
    intercepts = tuple((intercept_sd * found[:k]).tolist())
    if not slope_sd:
        return ClusterTerms(intercepts, (), ((),) * k)
    slopes: FloatArray = slope_sd * found[k:].reshape(len(sloped), k).T
    return ClusterTerms(intercepts, sloped, tuple(tuple(row) for row in slopes.tolist()))
