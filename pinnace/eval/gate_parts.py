"""What the page of a gate shows beside its figures: reliability, risk over coverage, the cascade's curves.

Keys: `labels` and `kinds` of the confidences by name, `reliability` (as `ReliabilityCurve`), `risks` (per
confidence `risk`, with `low` and `high`, at `coverage`; in points of 100) and `pairs` (as `SharePanel`, of
the rows where the larger model has scores; none without one).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.gate_metrics import risk_draws
from pinnace.eval.gate_report import GateReport, confidences, prompt_numbers
from pinnace.eval.reliability import ReliabilityCurve, reliability_curve
from pinnace.eval.share_curves import PERCENT, Pair, share_panel
from pinnace.eval.table import FloatArray

COVERAGES: FloatArray = np.linspace(0.025, 1.0, 40)
LABELS: Mapping[str, str] = {
    "gate": "gate",
    "estimate": "estimate before the answer",
    "mean_logprob": "mean log-probability",
    "minimum_logprob": "least log-probability",
    "random": "no order",
    "oracle": "perfect order",
}
KINDS: Mapping[str, str] = {
    "gate": "ours",
    "estimate": "peer",
    "mean_logprob": "peer",
    "minimum_logprob": "peer",
    "random": "control",
    "oracle": "bound",
}


def gate_parts(report: GateReport) -> dict[str, Any]:
    """The further keys, from the rows that the gate judged."""
    return {
        "labels": dict(LABELS),
        "kinds": dict(KINDS),
        "reliability": [curve.as_json() for curve in _reliabilities(report)],
        "risks": _risks(report),
        "pairs": _pairs(report),
    }


def _reliabilities(report: GateReport) -> list[ReliabilityCurve]:
    """The mean log-probability as a confidence, and the gate before and after its calibration."""
    rows = report.judged
    known = confidences(rows)
    return [
        reliability_curve(rows.model, "mean_logprob", known["mean_logprob"], rows.right),
        reliability_curve(rows.model, "estimate", rows.estimate, rows.right),
        reliability_curve(rows.model, "uncalibrated", rows.uncalibrated, rows.right),
        reliability_curve(rows.model, "gate", rows.confidence, rows.right),
    ]


def _risks(report: GateReport) -> dict[str, Any]:
    rows = report.judged
    weights = draw_weights(len(rows.right), report.draws, report.seed, prompt_numbers(rows))
    once = np.ones((1, len(rows.right)))
    curves: dict[str, Any] = {}
    for name, confidence in {**confidences(rows), "oracle": rows.right}.items():
        risk = PERCENT * risk_draws(confidence, rows.right, once, COVERAGES)[0]
        drawn = PERCENT * risk_draws(confidence, rows.right, weights, COVERAGES)
        low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
        curves[name] = {"risk": risk.tolist(), "low": low.tolist(), "high": high.tolist()}
    return {"coverage": COVERAGES.tolist(), "curves": curves}


def _pairs(report: GateReport) -> list[dict[str, Any]]:
    """Escalating the answers of least confidence, and those that the larger model is known to win."""
    rows = report.judged
    if report.cascade is None:
        return []
    both = np.flatnonzero(~np.isnan(rows.large_scores))
    weights = draw_weights(len(both), report.draws, report.seed, prompt_numbers(rows)[both])
    small, large = rows.right[both], rows.large_scores[both]
    needs = {name: -each[None, both] for name, each in confidences(rows).items() if name != "random"}
    pair = Pair(f"{rows.model} to {rows.large}", small, large, {**needs, "oracle": (large - small)[None]})
    return [share_panel(pair, weights).as_json()]
