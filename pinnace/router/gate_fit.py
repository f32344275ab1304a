"""Fitting the gate: per model and stage, from judged answers to calibrated probabilities.

Values in, values out. Rows with the same prompt are held out together. How far the evidence and the clusters
may move the router's estimate, and whether Platt's or an isotonic curve calibrates, is chosen by
cross-validated log loss; where it does not show beyond chance that evidence helps, the calibrated estimate
alone is left. Curves are fitted on held-out log-odds, and what is reported of them is held out once more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from sklearn.metrics import roc_auc_score  # pyright: ignore

from pinnace.router.calibration import (
    Curve,
    apply_curve,
    expected_calibration_error,
    fit_isotonic,
    fit_platt,
    log_loss,
    log_losses,
    sigmoids,
)
from pinnace.router.drift import Reference, reference_of
from pinnace.router.estimators.learner import folds_of
from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.gate import STAGES, Gate, Logistic, features_of
from pinnace.router.logistic_fit import Leeway, fit_logistic, log_odds_of
from pinnace.router.types import FloatArray, IntArray

FOLDS = 5
MIN_JUDGED = 60
MIN_OF_EACH = 10
"""Scored answers with evidence, and right and wrong ones among them, below which a model gets no gate."""
LEEWAYS = (
    Leeway(0.0),
    *(Leeway(each, *clusters) for each in (0.2, 1.0) for clusters in ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3))),
)
"""What is tried. The first, the estimate alone, gives way only to what is better beyond chance."""


@dataclass(frozen=True, slots=True)
class GateRows:
    """What gates are fitted from: n rows, m models.

    `scores` (n, m) in 0..1, NaN where not run; `priors` (n, m), the router's estimate of each, made without
    that row's own score; `evidence` per model and stage, one entry a row, None where there is none;
    `clusters` and their `weights`, both (n, p): each row's nearest clusters, as `Clusters.membership` has it.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    scores: FloatArray
    priors: FloatArray
    evidence: Mapping[str, Mapping[str, Sequence[Evidence | None]]]
    clusters: IntArray
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class GateFit:
    """The gate; each row's cross-validated confidence in whole answers (n, m), NaN where there is none;
    and the metrics that the cross-validation reached, by `model/stage/metric`.

    Those that end in `_estimate` are of the estimate that the gate starts from, on the same rows.
    """

    gate: Gate
    confidences: FloatArray
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Judged:
    """The judged answers of one model at one stage: which rows (j,), and of those the evidence, the log-odds'
    features (j, f) of the evidence in `names`, the labels (j,), the clusters' weights (j, k), and the folds.
    """

    rows: IntArray
    evidence: Sequence[Evidence]
    names: tuple[str, ...]
    features: FloatArray
    labels: FloatArray
    membership: FloatArray
    folds: Sequence[tuple[IntArray, IntArray]]


def fit_gates(rows: GateRows, *, k: int, seed: int = 0) -> GateFit:
    """Fit the gate of every model that has judged answers enough.

    :param k: how many clusters there are.
    """
    confidences = np.full_like(rows.scores, np.nan)
    fitted: dict[str, dict[str, Logistic]] = {stage: {} for stage in STAGES}
    references: dict[str, dict[str, Reference]] = {}
    metrics: dict[str, float] = {}
    for column, model in enumerate(rows.models):
        for stage in rows.evidence.get(model, {}):
            judged = _judged(rows, column, stage, k, seed)
            if judged is None:
                continue
            fitted[stage][model], held_out = _fit_one(judged)
            references.setdefault(model, {})[stage] = reference_of(judged.evidence)
            metrics |= _metrics(
                f"{model}/{stage}",
                held_out,
                rows.scores[judged.rows, column],
                rows.priors[judged.rows, column],
                np.array([each.mean for each in judged.evidence]),
            )
            if stage == "whole":
                confidences[judged.rows, column] = held_out
    return GateFit(Gate(fitted["whole"], fitted["prefix"], references), confidences, metrics)


def _judged(rows: GateRows, column: int, stage: str, k: int, seed: int) -> _Judged | None:
    """The judged answers of one model at one stage; None where there are too few to fit and to hold out."""
    scores, evidence = rows.scores[:, column], rows.evidence[rows.models[column]][stage]
    found = [(i, each) for i, each in enumerate(evidence) if each is not None and not np.isnan(scores[i])]
    if not found:
        return None
    at = np.array([i for i, _ in found], dtype=np.int64)
    kept = [each for _, each in found]
    labels = (scores[at] >= 0.5).astype(np.float64)
    folds = _folds([rows.prompts[i] for i, _ in found], seed)
    if not _is_enough(labels, folds):
        return None
    names = tuple(name for name in FEATURES if len({getattr(each, name) for each in kept}) > 1)
    pairs = zip(kept, rows.priors[at, column].tolist(), strict=True)
    features = np.array([features_of(each, prior, names) for each, prior in pairs])
    membership = np.zeros((len(at), k))
    np.put_along_axis(membership, rows.clusters[at], rows.weights[at], axis=1)
    return _Judged(at, kept, names, features, labels, membership, folds)


def _is_enough(labels: FloatArray, folds: Sequence[tuple[IntArray, IntArray]]) -> bool:
    """Whether there are answers enough to fit a gate on and to cross-validate it."""
    rights = int(labels.sum())
    return (
        len(labels) >= MIN_JUDGED
        and min(rights, len(labels) - rights) >= MIN_OF_EACH
        and all(0 < labels[fit].mean() < 1 for fit, _ in folds if len(fit))
        and len(folds) == FOLDS
    )


def _fit_one(judged: _Judged) -> tuple[Logistic, FloatArray]:
    """The calibrated model, and each answer's held-out confidence."""
    held_out = [_held_out(judged, leeway) for leeway in LEEWAYS]
    losses = [log_losses(sigmoids(odds), judged.labels) for odds in held_out]
    best = int(np.argmin([each.mean() for each in losses]))
    if not _is_less(losses[best], losses[0]):
        best = 0
    curve, confidence = _calibrated(held_out[best], judged)
    logistic = fit_logistic(judged.features, judged.labels, judged.names, judged.membership, LEEWAYS[best])
    return replace(logistic, curve=curve), confidence


def _is_less(losses: FloatArray, simpler: FloatArray) -> bool:
    """Whether losses are less than those of something simpler on the same rows, both (n,), beyond chance.

    That is by more than one standard error of the mean difference (Breiman et al. 1984).
    """
    gains = simpler - losses
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def _held_out(judged: _Judged, leeway: Leeway) -> FloatArray:
    """The log-odds of every answer by a model that was fitted on the other folds."""
    odds = np.zeros(len(judged.labels))
    features, membership = judged.features, judged.membership
    for fit, held in judged.folds:
        logistic = fit_logistic(features[fit], judged.labels[fit], judged.names, membership[fit], leeway)
        odds[held] = log_odds_of(logistic, features[held], membership[held])
    return odds


def _calibrated(odds: FloatArray, judged: _Judged) -> tuple[Curve, FloatArray]:
    """The curve that cross-validates better, fitted on all `odds`, and its held-out confidences."""
    held_out: list[FloatArray] = []
    for fit_curve in (fit_platt, fit_isotonic):
        confidence = np.zeros(len(odds))
        for fit, held in judged.folds:
            confidence[held] = apply_curve(fit_curve(odds[fit], judged.labels[fit]), odds[held])
        held_out.append(confidence)
    platt, isotonic = (log_loss(confidence, judged.labels) for confidence in held_out)
    if isotonic < platt:
        return fit_isotonic(odds, judged.labels), held_out[1]
    return fit_platt(odds, judged.labels), held_out[0]


def _metrics(
    name: str, confidence: FloatArray, right: FloatArray, estimate: FloatArray, mean: FloatArray
) -> dict[str, float]:
    labels = right >= 0.5
    auroc = cast(Callable[[Any, Any], float], roc_auc_score)
    return {
        f"{name}/rows": float(len(right)),
        f"{name}/accuracy": float(right.mean()),
        f"{name}/auroc": float(auroc(labels, confidence)),
        f"{name}/auroc_estimate": float(auroc(labels, estimate)),
        f"{name}/auroc_mean_logprob": float(auroc(labels, mean)),
        f"{name}/brier": float(np.mean((confidence - right) ** 2)),
        f"{name}/brier_estimate": float(np.mean((estimate - right) ** 2)),
        f"{name}/ece": expected_calibration_error(confidence, right),
        f"{name}/ece_estimate": expected_calibration_error(estimate, right),
    }


def _folds(prompts: Sequence[str], seed: int) -> list[tuple[IntArray, IntArray]]:
    """Rows to fit on and rows held out, in turn; a prompt's rows are always held out together."""
    _, prompt = np.unique(np.asarray(prompts), return_inverse=True)
    fold = folds_of(prompt, seed, FOLDS)
    count = min(FOLDS, int(prompt.max()) + 1)
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(count)]
