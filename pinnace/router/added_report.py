"""What is known of a model that joined a state, all of it on rows that its estimate had not seen. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from sklearn.metrics import roc_auc_score  # pyright: ignore

from pinnace.router.recognition import Recognised
from pinnace.router.types import FloatArray, IntArray

Z = 1.96


@dataclass(frozen=True, slots=True)
class AddedModel:
    """A model that joined, in figures; those of its estimate are before strangers are drawn toward its mean.

    `rows` were scored, `mean` is their score, `recognised` of them are calibration rows of the state, and
    `calibrated` calibrate floors. `mse` is the estimate's squared error, `mse_mean` that of the mean of the
    other rows, `r2` what is saved of it (with a 95 % interval); `auroc` is NaN where all are alike.
    `familiarity` (0..1) tells how far the rows are like those that the state was fitted on; `gate` holds the
    metrics of its gate by stage and name, empty where there is none.
    """

    model: str
    rows: int
    mean: float
    recognised: int
    calibrated: int
    familiarity: float
    mse: float
    mse_mean: float
    r2: float
    r2_low: float
    r2_high: float
    auroc: float
    gate: Mapping[str, float]


def report_added(
    model: str,
    scores: FloatArray,
    held_out: FloatArray,
    found: Recognised,
    *,
    calibrated: int,
    familiarity: float,
    gate: Mapping[str, float],
) -> AddedModel:
    """The figures of a model with `scores` (n,) and estimates `held_out` (n,) that each fold had not seen."""
    error, blind = (scores - held_out) ** 2, (scores - _other_means(scores, found.folds)) ** 2
    saved, scale = blind - error, max(float(blind.mean()), 1e-12)
    r2, half = float(saved.mean()) / scale, Z * float(saved.std(ddof=1) / np.sqrt(len(saved))) / scale
    labels = scores >= 0.5
    auroc = cast(Callable[[Any, Any], float], roc_auc_score)
    return AddedModel(
        model=model,
        rows=len(scores),
        mean=float(scores.mean()),
        recognised=found.rows,
        calibrated=calibrated,
        familiarity=familiarity,
        mse=float(error.mean()),
        mse_mean=float(blind.mean()),
        r2=r2,
        r2_low=r2 - half,
        r2_high=r2 + half,
        auroc=float(auroc(labels, held_out)) if 0 < labels.mean() < 1 else float("nan"),
        gate={name.removeprefix(f"{model}/"): value for name, value in gate.items()},
    )


def _other_means(scores: FloatArray, folds: IntArray) -> FloatArray:
    """For each row the mean score of the rows of other folds, (n,): what is known without it."""
    means = np.full(len(scores), scores.mean())
    for fold in np.unique(folds):
        held = folds == fold
        if not held.all():
            means[held] = scores[~held].mean()
    return means
