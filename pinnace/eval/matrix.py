"""The measured matrix: every model on every suite of an outcome table, with intervals.

Pure. `matrix_of` gives the object that `pinnace eval matrix --json` prints; its keys:

- `rows`, `models`, `reference` (the model that gains are over), `draws` and `seed` of the bootstrap.
- `suites`: per suite `rows` and `models`: per model that has scores there `rows`, `accuracy` (mean score),
  `gain` (over the reference, paired, on rows that both have; null for itself), `auroc` (of its confidence),
  `coverage_90`, `coverage_95`, `coverage_97` (share of answers that may be kept at that accuracy, the surest
  first), `usd_per_1k`, `prompt_tokens` and `completion_tokens` (means); and where the suite has rows out of
  its scope `scope_auroc` (in or out, by the confidence that the prompt is in scope).
- `overall`: per model that has all suites `accuracy`, `gain`: the mean over suites, each counted once.
- `routes`: per suite that a route answered `rows`, `shares` (by who answered) and `escalated`.
- `stream`: all that was asked of a route beside an oracle by task (`pinnace.eval.stream`).

Figures with intervals have `_low` and `_high`, the 95 % of bootstrap draws of prompts, the same draws for
every model. The confidence is that of the gate where a route or `matrix_gate` gave it, else exp of the mean
log-probability; an answer that the prompt is out of scope is as sure that it is in scope as it is unsure of
itself. What is not defined is NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, nan
from typing import Any

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.bootstrap import (
    AnyWeights,
    Interval,
    Weights,
    draw_weights,
    interval,
    mean_draws,
    paired_interval,
)
from pinnace.eval.coverage import coverage_at_draws
from pinnace.eval.gate_metrics import auroc_draws
from pinnace.eval.matrix_routes import routes_of
from pinnace.eval.stream import stream_of
from pinnace.eval.suites import OUT_OF_SCOPE
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.types import IntArray

DRAWS = 1000
ACCURACIES = (90, 95, 97)
PER = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A figure on the rows themselves, and its bootstrap draws, (d,)."""

    value: float
    draws: FloatArray

    def interval(self) -> Interval:
        """With its 95 % interval."""
        return interval(self.value, self.draws)


def matrix_of(
    table: OutcomeTable, *, reference: str | None = None, draws: int = DRAWS, seed: int = 0
) -> dict[str, Any]:
    """The figures of a table, under the keys of the module's docstring.

    :param reference: a model of the table; its first by default.
    :raises TableError: when the table has no such model, or no scores.
    """
    against = table.models[0] if reference is None else reference
    if against not in table.models:
        raise TableError(f"reference: expected one of {', '.join(table.models)}, got {against!r}")
    suites = {
        name: _Suite(table, name, against, draws, seed + at) for at, name in enumerate(scored_suites(table))
    }
    if not suites:
        raise TableError("expected a table with scores, got none")
    return {
        "rows": len(table),
        "models": list(table.models),
        "reference": against,
        "draws": draws,
        "seed": seed,
        "suites": {name: suite.as_json() for name, suite in suites.items()},
        "overall": _overall(table.models, against, list(suites.values())),
        "routes": routes_of(table),
        "stream": stream_of(table, draws=draws, seed=seed),
    }


def scored_suites(table: OutcomeTable) -> tuple[str, ...]:
    """The suites that have a score for any model, in order of appearance."""
    known: list[int] = np.flatnonzero((~np.isnan(table.scores)).any(axis=1)).tolist()
    return tuple(dict.fromkeys(suite_of(table.tasks[row]) for row in known))


def suite_of(task: str) -> str:
    """The suite of a task, in its scope or out of it."""
    return task.removesuffix(f"/{OUT_OF_SCOPE}")


def confidences(table: OutcomeTable, model: str, rows: Sequence[int] | IntArray) -> FloatArray:
    """How sure a model's answers are, and that the prompts are in scope: (len(rows),), NaN where unknown."""
    column = table.evidence.get(model)
    return np.array([nan if column is None else _confidence(column[row]) for row in rows], dtype=np.float64)


def _confidence(evidence: Mapping[str, Any] | None) -> float:
    if evidence is None:
        return nan
    whole: Mapping[str, float] | None = evidence.get("whole")
    sure = evidence.get("confidence", exp(whole["mean"]) if whole else nan)
    return 1 - sure if evidence.get("rejected") else sure


class _Suite:
    """The rows of one suite, drawn once for all models."""

    def __init__(self, table: OutcomeTable, name: str, reference: str, draws: int, seed: int) -> None:
        tasks = np.asarray(table.tasks)
        self._table, self._reference = table, reference
        self.inside: IntArray = np.flatnonzero(tasks == name)
        self._outside: IntArray = np.flatnonzero(tasks == f"{name}/{OUT_OF_SCOPE}")
        together = len(self.inside) + len(self._outside)
        self._weights: Weights = draw_weights(together, draws, seed)
        self.accuracies = {
            model: self._mean(self._scores(model), ~np.isnan(self._scores(model)))
            for model in table.models
            if not np.isnan(self._scores(model)).all()
        }

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        return {
            "rows": len(self.inside),
            "out_of_scope": len(self._outside),
            "models": {model: self._figures(model) for model in self.accuracies},
        }

    def gain(self, model: str) -> tuple[Drawn, Drawn] | None:
        """The accuracy of `model` and of the reference on the rows that both have."""
        if model == self._reference or self._reference not in self.accuracies:
            return None
        ours, theirs = self._scores(model), self._scores(self._reference)
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        return (self._mean(ours, both), self._mean(theirs, both)) if both.any() else None

    def _scores(self, model: str) -> FloatArray:
        return self._table.scores[self.inside, self._table.models.index(model)]

    def _mean(self, scores: FloatArray, known: np.ndarray) -> Drawn:
        weights = self._weights[:, : len(scores)][:, known]
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw can miss all of few rows
            return Drawn(float(scores[known].mean()), mean_draws(scores[known], weights))

    def _figures(self, model: str) -> dict[str, Any]:
        scores = self._scores(model)
        known = np.flatnonzero(~np.isnan(scores))
        rows = self.inside[known]
        sure = confidences(self._table, model, rows)
        judged = known[~np.isnan(sure)]
        pair = self.gain(model)
        return {
            "rows": len(known),
            **_flat("accuracy", self.accuracies[model].interval()),
            **_flat("gain", gain_interval([pair]) if pair else None),
            **self._certain(sure[~np.isnan(sure)], scores[judged], self._weights[:, judged]),
            **self._scope(model),
            "usd_per_1k": _mean_of(self._table.costs[rows, self._table.models.index(model)]) * PER,
            **{name: self._count(model, name, rows) for name in ("prompt_tokens", "completion_tokens")},
        }

    def _certain(self, sure: FloatArray, right: FloatArray, weights: AnyWeights) -> dict[str, Any]:
        """What the confidence is worth."""
        found = _flat("auroc", _measured(auroc_draws, sure, right, weights))
        for percent in ACCURACIES:

            def coverage(
                c: FloatArray, r: FloatArray, w: AnyWeights, least: float = percent / 100
            ) -> FloatArray:
                return coverage_at_draws(c, r, w, least)

            found |= _flat(f"coverage_{percent}", _measured(coverage, sure, right, weights))
        return found

    def _scope(self, model: str) -> dict[str, Any]:
        if not len(self._outside):
            return {}
        sure = confidences(self._table, model, np.concatenate([self.inside, self._outside]))
        known = np.flatnonzero(~np.isnan(sure))
        inside = (known < len(self.inside)).astype(np.float64)
        return _flat("scope_auroc", _measured(auroc_draws, sure[known], inside, self._weights[:, known]))

    def _count(self, model: str, name: str, rows: IntArray) -> float:
        column = self._table.evidence.get(model)
        at: list[int] = rows.tolist()
        found = [column[row] if column else None for row in at]
        return _mean_of(np.array([nan if e is None else e.get(name, nan) for e in found], dtype=np.float64))


def gain_interval(pairs: Sequence[tuple[Drawn, Drawn]]) -> Interval:
    """The mean over suites of ours minus theirs, paired."""
    ours = np.mean([our.draws for our, _ in pairs], axis=0)
    theirs = np.mean([their.draws for _, their in pairs], axis=0)
    value = float(np.mean([our.value - their.value for our, their in pairs]))
    return paired_interval(ours, theirs, value=value)


def _overall(models: Sequence[str], reference: str, suites: Sequence[_Suite]) -> dict[str, Any]:
    """Means over suites, of models that have them all."""
    found: dict[str, Any] = {}
    for model in models:
        if not all(model in suite.accuracies for suite in suites):
            continue
        drawn = [suite.accuracies[model] for suite in suites]
        mean = Drawn(float(np.mean([d.value for d in drawn])), np.mean([d.draws for d in drawn], axis=0))
        pairs = [pair for suite in suites if (pair := suite.gain(model)) is not None]
        gain = gain_interval(pairs) if len(pairs) == len(suites) else None
        found[model] = {**_flat("accuracy", mean.interval()), **_flat("gain", gain)}
    return found


def _measured(
    metric: Callable[[FloatArray, FloatArray, AnyWeights], FloatArray],
    sure: FloatArray,
    right: FloatArray,
    weights: AnyWeights,
) -> Interval:
    if not len(sure):
        return Interval(nan, nan, nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return interval(float(metric(sure, right, np.ones((1, len(sure))))[0]), metric(sure, right, weights))


def _mean_of(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else nan


def _flat(name: str, found: Interval | None) -> dict[str, float]:
    """A figure under its name, its interval under the name with `_low` and `_high`."""
    figure = found or Interval(nan, nan, nan)
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
