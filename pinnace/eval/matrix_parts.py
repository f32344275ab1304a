"""What the page of a matrix shows beside its figures: risk over coverage, suite by suite.

Keys: `labels` and `kinds` of the models by name; in each suite with enough rows `risks` (per model `risk`,
with `low` and `high`, at `coverage`; in points of 100).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.gate_metrics import risk_draws
from pinnace.eval.matrix import confidences
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.dispatch import AUTO

COVERAGES: FloatArray = np.linspace(0.025, 1.0, 40)
MIN_ROWS = 30
"""Rows below which a suite gets no picture of its own."""
PERCENT = 100.0


def matrix_parts(found: Mapping[str, Any], table: OutcomeTable) -> dict[str, Any]:
    """`found` (`pinnace.eval.matrix.matrix_of`) with the further keys."""
    kinds = {model: "ours" if model == AUTO else "peer" for model in found["models"]}
    suites = {name: {**suite, "risks": _risks(found, table, name)} for name, suite in found["suites"].items()}
    return {**found, "labels": {m: m for m in found["models"]}, "kinds": kinds, "suites": suites}


def _risks(found: Mapping[str, Any], table: OutcomeTable, name: str) -> dict[str, Any]:
    rows = np.flatnonzero(np.asarray(table.tasks) == name)
    curves: dict[str, Any] = {}
    for model in found["models"]:
        scores, sure = table.scores[rows, table.models.index(model)], confidences(table, model, rows)
        known = ~np.isnan(scores) & ~np.isnan(sure)
        if known.sum() >= MIN_ROWS:
            curves[model] = _curve(sure[known], scores[known], found["draws"], found["seed"])
    return {"coverage": COVERAGES.tolist(), "curves": curves} if curves else {}


def _curve(sure: FloatArray, right: FloatArray, draws: int, seed: int) -> dict[str, Any]:
    weights = draw_weights(len(right), draws, seed)
    once = np.ones((1, len(right)))
    risk = PERCENT * risk_draws(sure, right, once, COVERAGES)[0]
    low, high = np.quantile(PERCENT * risk_draws(sure, right, weights, COVERAGES), (0.025, 0.975), axis=0)
    return {"risk": risk.tolist(), "low": low.tolist(), "high": high.tolist()}
