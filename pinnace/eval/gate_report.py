"""How good a gate is: its figures on judged rows, whole and per task, beside plainer confidences.

Pure. `GateReport.as_json` gives the object that `pinnace eval gate --json` prints; its keys:

- `model`, `stage`, `rows`, `accuracy` (mean score), `draws` and `seed` of the bootstrap, `large` (the model
  that is escalated to, or null).
- `methods`: of all rows, per method `gate` (calibrated), `estimate` (the router's, before the answer),
  `mean_logprob` and `minimum_logprob` (of the tokens, as confidence exp of it), `random` (the mean score for
  every row: all orders of the rows averaged). Each has `auroc`, `brier`, `ece` (10 bins of equal mass),
  `aurc`, `excess_aurc`, `coverage_80`, `coverage_90`, `coverage_95` (share of answers that pass at that
  accuracy), each with `_low` and `_high`, the 95 % interval of the bootstrap over prompts, given the fits
  that judged them. The ECE of a draw is biased upward, so its interval can lie above its value.
- `auroc_over_mean_logprob` and `auroc_over_estimate` with `_low`, `_high`: the gate's AUROC minus theirs,
  paired. The second is what the evidence is worth over knowing the request.
- `tasks`: per task of at least 30 rows `rows`, `accuracy`, `methods` and the differences, of its rows alone.
- `risk_coverage`: the gate's curve at 20 coverages: `coverage`, `risk`.
- `cascade`: `rows` that have a score of `large`, `accuracy_small`, `accuracy_large` there, and `points`, per
  share of escalation `share`, `accuracy`, `blind_accuracy`, `over_blind` with `_low`, `_high`,
  `escalation_gain`, `regressions`, `adverse_selection_tax`; null without a larger model.
- `drift`: `live_rows`, `fitted_rows`, `moved` (features), and per feature `distance`, `bound`,
  `fitted_median`, `live_median`; null without a state, or where it knows no reference.

What is not defined is NaN here and null in JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import AnyWeights, Interval, draw_weights, interval, mean_draws, paired_interval
from pinnace.eval.cascade_report import CascadePoint, cascade_points
from pinnace.eval.coverage import coverage_at_draws
from pinnace.eval.gate_metrics import (
    auroc_draws,
    brier_draws,
    ece_draws,
    excess_aurc_draws,
    risk_coverage,
)
from pinnace.eval.gate_rows import GatedRows
from pinnace.eval.table import FloatArray
from pinnace.router.drift import Drift
from pinnace.router.types import IntArray

DRAWS = 1000
COVERAGES = 20
MIN_TASK = 30
"""Rows below which a task gets no figures of its own."""
Metric = Callable[[FloatArray, FloatArray, AnyWeights], FloatArray]


def _aurc_draws(confidence: FloatArray, right: FloatArray, weights: AnyWeights) -> FloatArray:
    """AURC of each draw: its excess over that of no order at all, whose AURC is the mean error."""
    blind = np.zeros(len(right))
    over_blind = excess_aurc_draws(confidence, right, weights) - excess_aurc_draws(blind, right, weights)
    return over_blind + 1 - mean_draws(right, weights)


METRICS: Mapping[str, Metric] = {
    "auroc": auroc_draws,
    "brier": brier_draws,
    "ece": ece_draws,
    "aurc": _aurc_draws,
    "excess_aurc": excess_aurc_draws,
    "coverage_80": lambda c, r, w: coverage_at_draws(c, r, w, 0.80),
    "coverage_90": lambda c, r, w: coverage_at_draws(c, r, w, 0.90),
    "coverage_95": lambda c, r, w: coverage_at_draws(c, r, w, 0.95),
}


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Of some rows: their number, the mean score, and per method and metric a figure with its interval;
    and the gate's AUROC minus that of the mean log-probability, and that of the router's estimate.
    """

    rows: int
    accuracy: float
    methods: Mapping[str, Mapping[str, Interval]]
    over_mean: Interval
    over_estimate: Interval

    def as_json(self) -> dict[str, Any]:
        """Under the keys of the module's docstring."""
        return {
            "rows": self.rows,
            "accuracy": self.accuracy,
            "methods": {name: _flat(metrics) for name, metrics in self.methods.items()},
            **_flat({"auroc_over_mean_logprob": self.over_mean, "auroc_over_estimate": self.over_estimate}),
        }


@dataclass(frozen=True, slots=True)
class CascadeFigures:
    """Escalating to `large` on the rows where it has scores; the mean scores of both there."""

    rows: int
    accuracy_small: float
    accuracy_large: float
    points: tuple[CascadePoint, ...]

    def as_json(self) -> dict[str, Any]:
        """Under the keys of the module's docstring."""
        return {
            "rows": self.rows,
            "accuracy_small": self.accuracy_small,
            "accuracy_large": self.accuracy_large,
            "points": [_point(point) for point in self.points],
        }


@dataclass(frozen=True, slots=True, eq=False)
class GateReport:
    """Everything that is known of a gate on judged rows."""

    judged: GatedRows
    draws: int
    seed: int
    figures: GateFigures
    tasks: Mapping[str, GateFigures]
    cascade: CascadeFigures | None
    drift: Drift | None

    def as_json(self) -> dict[str, Any]:
        """Plain values under the keys of the module's docstring."""
        rows = self.judged
        coverage, risk = risk_coverage(rows.confidence, rows.right)
        at = np.linspace(0, len(risk) - 1, min(COVERAGES, len(risk))).round().astype(int)
        return {
            "model": rows.model,
            "stage": rows.stage,
            "draws": self.draws,
            "seed": self.seed,
            "large": rows.large,
            **self.figures.as_json(),
            "tasks": {task: figures.as_json() for task, figures in self.tasks.items()},
            "risk_coverage": {"coverage": coverage[at].tolist(), "risk": risk[at].tolist()},
            "cascade": self.cascade and self.cascade.as_json(),
            "drift": self.drift and drift_json(self.drift),
        }


def report_gate(
    rows: GatedRows, *, draws: int = DRAWS, seed: int = 0, drift: Drift | None = None
) -> GateReport:
    """Measure the judged rows.

    :param draws: bootstrap draws, of prompts.
    """
    tasks = np.asarray(rows.tasks)
    parts = {task: np.flatnonzero(tasks == task) for task in sorted(set(rows.tasks))}
    return GateReport(
        judged=rows,
        draws=draws,
        seed=seed,
        figures=_figures(rows, np.arange(len(tasks)), draws, seed),
        tasks={
            task: _figures(rows, part, draws, seed) for task, part in parts.items() if len(part) >= MIN_TASK
        },
        cascade=_cascade(rows, draws, seed),
        drift=drift,
    )


def drift_json(drift: Drift) -> dict[str, Any]:
    """A drift check under the keys of the module's docstring."""
    return {
        "live_rows": drift.live_rows,
        "fitted_rows": drift.fitted_rows,
        "moved": list(drift.moved),
        "features": {
            each.feature: {name: value for name, value in asdict(each).items() if name != "feature"}
            for each in drift.features
        },
    }


def _figures(rows: GatedRows, part: IntArray, draws: int, seed: int) -> GateFigures:
    right = rows.right[part]
    weights = draw_weights(len(part), draws, seed, prompt_numbers(rows)[part])
    once = np.ones((1, len(part)))
    methods: dict[str, dict[str, Interval]] = {}
    aurocs: dict[str, FloatArray] = {}
    for method, confidence in confidences(rows, right.mean()).items():
        methods[method] = {}
        for name, metric in METRICS.items():
            value = float(metric(confidence[part], right, once)[0])
            drawn = metric(confidence[part], right, weights)
            methods[method][name] = interval(value, drawn)
            if name == "auroc":
                aurocs[method] = drawn

    def over(other: str) -> Interval:
        value = methods["gate"]["auroc"].value - methods[other]["auroc"].value
        return paired_interval(aurocs["gate"], aurocs[other], value=value)

    return GateFigures(len(part), float(right.mean()), methods, over("mean_logprob"), over("estimate"))


def confidences(rows: GatedRows, mean_score: float | None = None) -> dict[str, FloatArray]:
    """The gate's confidence and those it is compared with, all (n,), in 0..1.

    :param mean_score: what `random` says of every row; the mean of all by default.
    """
    return {
        "gate": rows.confidence,
        "estimate": rows.estimate,
        "mean_logprob": np.exp([each.mean for each in rows.evidence]),
        "minimum_logprob": np.exp([each.minimum for each in rows.evidence]),
        "random": np.full(len(rows.right), rows.right.mean() if mean_score is None else mean_score),
    }


def _cascade(rows: GatedRows, draws: int, seed: int) -> CascadeFigures | None:
    if rows.large is None:
        return None
    both = np.flatnonzero(~np.isnan(rows.large_scores))
    small, large = rows.right[both], rows.large_scores[both]
    weights = draw_weights(len(both), draws, seed, prompt_numbers(rows)[both])
    points = cascade_points(small, large, rows.confidence[both], weights)
    return CascadeFigures(len(both), float(small.mean()), float(large.mean()), points)


def prompt_numbers(rows: GatedRows) -> IntArray:
    """A number for each prompt, (n,): rows of one prompt are drawn together."""
    return np.unique(np.asarray(rows.prompts), return_inverse=True)[1].astype(np.int64)


def _point(point: CascadePoint) -> dict[str, Any]:
    return {
        "share": point.share,
        "accuracy": point.accuracy,
        "blind_accuracy": point.blind_accuracy,
        **_flat({"over_blind": point.over_blind}),
        "escalation_gain": point.escalation.gain,
        "regressions": point.escalation.regressions,
        "adverse_selection_tax": point.escalation.tax,
    }


def _flat(figures: Mapping[str, Interval]) -> dict[str, float]:
    """Each figure under its name, its interval under the name with `_low` and `_high`."""
    flat: dict[str, float] = {}
    for name, found in figures.items():
        flat |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return flat
