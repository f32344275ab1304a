"""Fitting a router state from scored answers: clusters, qualities, gates, and the metrics they reach.

Values in, values out: reads no file and embeds nothing. Confidence metrics are cross-validated, so
that what `pinnace fit` prints is what rows outside the fit would see.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from sklearn.cluster import KMeans  # pyright: ignore[reportMissingTypeStubs]
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
from sklearn.metrics import roc_auc_score  # pyright: ignore
from sklearn.model_selection import KFold  # pyright: ignore

from pinnace.router.clusters import Clusters
from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.gate import STAGES, Gate, Logistic, features_of
from pinnace.router.labels import label_clusters
from pinnace.router.state import QUANTILES, Provenance, RouterState
from pinnace.router.types import FloatArray, IntArray

FOLDS = 5
MIN_JUDGED = 60
MIN_OF_EACH = 10
"""Scored answers with evidence, and right and wrong ones among them, below which a model gets no gate."""
MIN_CLUSTER = 30
"""Judged answers below which a cluster borrows the spread of confidence of all rows."""


@dataclass(frozen=True, slots=True)
class FitRows:
    """What a state is fitted from: n rows, m models.

    `vectors` (n, dim); `scores` (n, m) in 0..1, NaN where not run; `output_tokens` (n, m), NaN where not
    known; `evidence` per model and stage, one entry a row, None where there is none.
    """

    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    vectors: FloatArray
    scores: FloatArray
    output_tokens: FloatArray
    evidence: Mapping[str, Mapping[str, Sequence[Evidence | None]]]


Provide = Callable[[Mapping[str, float]], Provenance]


def fit_state(rows: FitRows, provenance: Provide, *, k: int, hold_tokens: int, seed: int = 0) -> RouterState:
    """Fit a router state.

    :param provenance: makes the provenance from the metrics that the fit reached.
    :param k: clusters, at most a tenth of the rows and one per distinct vector.
    """
    most = min(max(1, len(rows.prompts) // 10), len(np.unique(rows.vectors, axis=0)))
    centroids = fit_centroids(rows.vectors, min(k, most), seed=seed)
    members = np.argmax(rows.vectors @ centroids.T, axis=1)
    labels = label_clusters(rows.prompts, members, len(centroids))
    clusters = Clusters(centroids, labels, familiar_range(rows.vectors, centroids))
    quality, quality_sd = cluster_quality(rows.scores, members, len(centroids))
    priors = _held_out_priors(rows, clusters, members, seed)
    gate, confidences, metrics = _fit_gates(rows, priors, seed)
    tokens, _ = cluster_quality(_filled_tokens(rows.output_tokens), members, len(centroids))
    return RouterState(
        models=rows.models,
        clusters=clusters,
        quality=quality,
        quality_sd=quality_sd,
        output_tokens=tokens,
        confidences=_spread(confidences, members, len(centroids)),
        overall=np.stack([_means(rows.scores), _means(_filled_tokens(rows.output_tokens))], axis=1),
        gate=gate,
        hold_tokens=hold_tokens,
        provenance=provenance(metrics),
    )


def fit_centroids(vectors: FloatArray, k: int, *, seed: int) -> FloatArray:
    """k-means centroids of shape (k, dim), rows L2-normalised."""
    means: Any = KMeans(n_clusters=k, n_init="auto", random_state=seed)
    means.fit(vectors)
    centroids: FloatArray = np.asarray(means.cluster_centers_, dtype=np.float64)
    return centroids / np.linalg.norm(centroids, axis=1, keepdims=True)


def cluster_quality(values: FloatArray, members: IntArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Per cluster and model, the mean shrunk toward the model's own, and its standard deviation, (k, m).

    The strength of the shrinkage is the ratio of the variance within clusters to that between them
    (empirical Bayes by moments), so that clusters which tell nothing fall back to the model's mean.
    """
    overall = _means(values)
    means = np.tile(overall, (k, 1))
    sds = np.zeros_like(means)
    for model in range(values.shape[1]):
        groups = [_known(values[members == cluster, model]) for cluster in range(k)]
        within, prior_rows = _shrinkage(groups)
        for cluster, group in enumerate(groups):
            rows = len(group) + prior_rows
            means[cluster, model] = (group.sum() + prior_rows * overall[model]) / rows
            sds[cluster, model] = np.sqrt(within / (rows + 1))
    return means, sds


def _shrinkage(groups: Sequence[FloatArray]) -> tuple[float, float]:
    """The pooled variance within groups, and how many rows the model's own mean counts for."""
    filled = [group for group in groups if len(group) > 1]
    if not filled:
        return 0.25, 1.0
    within = float(np.average([g.var(ddof=1) for g in filled], weights=[len(g) - 1 for g in filled]))
    between = float(np.var([g.mean() for g in filled])) - within * float(
        np.mean([1 / len(g) for g in filled])
    )
    return within, float(np.clip(within / max(between, 1e-9), 1.0, 1e4))


def familiar_range(vectors: FloatArray, centroids: FloatArray) -> tuple[float, float]:
    """The tenth and the fiftieth percentile of the rows' cosines to their nearest centroid."""
    nearest: FloatArray = (vectors @ centroids.T).max(axis=1)
    return float(np.quantile(nearest, 0.1)), float(np.quantile(nearest, 0.5))


def _held_out_priors(rows: FitRows, clusters: Clusters, members: IntArray, seed: int) -> FloatArray:
    """The router's estimate for each row from the other folds' rows, (n, m): what it would say unseen."""
    priors = np.zeros_like(rows.scores)
    nearest, weights = clusters.membership(rows.vectors)
    familiarity = clusters.familiarity(rows.vectors)[:, None]
    for fit, held in _folds(len(rows.prompts), seed):
        quality, _ = cluster_quality(rows.scores[fit], members[fit], len(clusters.centroids))
        here = np.einsum("np,npm->nm", weights[held], quality[nearest[held]])
        priors[held] = familiarity[held] * here + (1 - familiarity[held]) * _means(rows.scores[fit])
    return priors


def _fit_gates(rows: FitRows, priors: FloatArray, seed: int) -> tuple[Gate, FloatArray, dict[str, float]]:
    """The gate, each row's cross-validated confidence in whole answers (n, m), and the metrics."""
    confidences = np.full_like(rows.scores, np.nan)
    fitted: dict[str, dict[str, Logistic]] = {stage: {} for stage in STAGES}
    metrics: dict[str, float] = {}
    for column, model in enumerate(rows.models):
        for stage, evidence in rows.evidence.get(model, {}).items():
            judged, features = _judged(evidence, rows.scores[:, column], priors[:, column])
            right = rows.scores[judged, column]
            if not _is_enough(right):
                continue
            held_out = _cross_validated(features, right, seed)
            fitted[stage][model] = fit_logistic(features, right)
            metrics |= _metrics(f"{model}/{stage}", held_out, right, features[:, FEATURES.index("mean")])
            if stage == "whole":
                confidences[judged, column] = held_out
    return Gate(fitted["whole"], fitted["prefix"]), confidences, metrics


def fit_logistic(features: FloatArray, right: FloatArray) -> Logistic:
    """A standardised, lightly regularised logistic model of `right` >= 0.5."""
    centre = features.mean(axis=0)
    scale = np.maximum(features.std(axis=0), 1e-6)
    model: Any = LogisticRegression(C=1.0, max_iter=1000)
    model.fit((features - centre) / scale, right >= 0.5)
    return Logistic(
        tuple(centre.tolist()),
        tuple(scale.tolist()),
        tuple(model.coef_[0].tolist()),
        float(model.intercept_[0]),
    )


def expected_calibration_error(confidence: FloatArray, right: FloatArray, bins: int = 10) -> float:
    """Mean |confidence - accuracy| over bins of equal mass, in 0..1."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(confidence[part].mean() - right[part].mean()) for part in parts]
    return float(np.average(gaps, weights=[len(part) for part in parts]))


def _is_enough(right: FloatArray) -> bool:
    """Whether there are answers enough to fit a gate on and to cross-validate it."""
    rights = int((right >= 0.5).sum())
    return len(right) >= MIN_JUDGED and min(rights, len(right) - rights) >= MIN_OF_EACH


def _judged(
    evidence: Sequence[Evidence | None], scores: FloatArray, priors: FloatArray
) -> tuple[IntArray, FloatArray]:
    judged = [i for i, found in enumerate(evidence) if found is not None and not np.isnan(scores[i])]
    features = [features_of(found, float(priors[i])) for i in judged if (found := evidence[i]) is not None]
    return np.asarray(judged, dtype=np.int64), np.asarray(features, dtype=np.float64)


def _cross_validated(features: FloatArray, right: FloatArray, seed: int) -> FloatArray:
    held_out = np.zeros(len(right))
    for fit, held in _folds(len(right), seed):
        logistic = fit_logistic(features[fit], right[fit])
        held_out[held] = [logistic.probability(row) for row in features[held].tolist()]
    return held_out


def _metrics(name: str, confidence: FloatArray, right: FloatArray, mean: FloatArray) -> dict[str, float]:
    labels = right >= 0.5
    auroc = cast(Callable[[Any, Any], float], roc_auc_score)
    return {
        f"{name}/rows": float(len(right)),
        f"{name}/accuracy": float(right.mean()),
        f"{name}/auroc": float(auroc(labels, confidence)),
        f"{name}/auroc_mean_logprob": float(auroc(labels, mean)),
        f"{name}/brier": float(np.mean((confidence - right) ** 2)),
        f"{name}/ece": expected_calibration_error(confidence, right),
    }


def _spread(confidences: FloatArray, members: IntArray, k: int) -> FloatArray:
    """Quantiles of confidence per cluster and model, (k, m, QUANTILES)."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    spread = np.full((k, confidences.shape[1], QUANTILES), np.nan)
    for model in range(confidences.shape[1]):
        everywhere = _known(confidences[:, model])
        for cluster in range(k):
            here = _known(confidences[members == cluster, model])
            found = here if len(here) >= MIN_CLUSTER else np.concatenate([here, everywhere])
            if len(found):
                spread[cluster, model] = np.quantile(found, levels)
    return spread


def _filled_tokens(output_tokens: FloatArray) -> FloatArray:
    """Completion tokens with a model's gaps filled by what the other models wrote on that row."""
    known = ~np.isnan(output_tokens)
    row_sum = np.where(known, output_tokens, 0.0).sum(axis=1, keepdims=True)
    row_mean = row_sum / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, output_tokens, np.where(known.any(axis=1, keepdims=True), row_mean, np.nan))


def _means(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _known(values: FloatArray) -> FloatArray:
    return values[~np.isnan(values)]


def _folds(n: int, seed: int) -> list[tuple[IntArray, IntArray]]:
    folds: Any = KFold(n_splits=min(FOLDS, n), shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(n)))
