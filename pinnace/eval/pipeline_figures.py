"""The figures of pipelines, whole and step by step, from the table that a run of them leaves.

Pure. `pipeline_figures` gives the object that `pinnace eval pipeline --json` prints as `pipeline`; its keys:

- `rows`, `reference` (the column that gains are over), `draws` and `seed` of the bootstrap.
- `variants`: per column `runs` (that the fleet served), `faults` (those without an answer, scored 0),
  `accuracy` (mean score over all suites' prompts), `gain` (over the reference, paired; null for itself),
  `usd_per_1k` runs, and means per run: `joules`, `seconds`, `calls`, `escalations`, `prompt_tokens`,
  `completion_tokens`, `confidence`; `metered` (share of the calls whose joules are known; the others are not in
  `joules`), `shares` (of the calls, by who answered), and `steps`.
- `steps`: per step the same, of what it took alone: `runs` that asked it and `accuracy` of those, `asks` per
  run of the pipeline, `seconds` per ask. All else is per run of the pipeline, whether it asked the step or
  not, so that steps add up to the whole.

Figures with intervals have `_low` and `_high`, the 95 % of bootstrap draws of prompts, the same for all
columns. What is not defined is NaN.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import fsum, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from pinnace.eval.bootstrap import Interval, Weights, draw_weights, interval, mean_draws, paired_interval
from pinnace.eval.pipelines import FAULT, PARTS
from pinnace.eval.table import FloatArray, OutcomeTable

DRAWS = 1000
PER = 1000
SUMS = ("calls", "escalations", "prompt_tokens", "completion_tokens")
Found = Mapping[str, Any]
BoolArray = npt.NDArray[np.bool_]


def pipeline_figures(table: OutcomeTable, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """The figures of a table's pipelines, under the keys of the module's docstring; the first is the
    reference."""
    names = [name for name in table.models if any(PARTS in (e or {}) for e in table.evidence.get(name, ()))]
    weights = draw_weights(len(table), draws, seed) if names else np.empty((draws, 0), dtype=np.float32)
    scores = {name: table.scores[:, table.models.index(name)] for name in names}
    found = {name: _variant(table.evidence[name], scores[name], weights) for name in names}
    for name in names:
        gain = _gain(scores[name], scores[names[0]], weights) if name != names[0] else None
        found[name] |= _flat("gain", gain)
    reference = names[0] if names else None
    told = {"rows": len(table), "reference": reference, "draws": draws, "seed": seed}
    return {**told, "variants": found}


def _variant(column: Sequence[Found | None], scores: FloatArray, weights: Weights) -> dict[str, Any]:
    runs = [evidence for evidence in column if evidence is not None]
    parts: list[Found] = [part for run in runs for part in run[PARTS]]
    return {
        "runs": len(runs),
        "faults": sum(FAULT in run for run in runs),
        **_flat("accuracy", _accuracy(scores, ~np.isnan(scores), weights)),
        **_took(parts, len(runs)),
        "seconds": _mean([run["seconds"] for run in runs]),
        "confidence": _mean([run["confidence"] for run in runs if "confidence" in run]),
        "steps": {
            step: _step(step, column, scores, weights) for step in dict.fromkeys(part["step"] for part in parts)
        },
    }


def _step(
    step: str, column: Sequence[Found | None], scores: FloatArray, weights: Weights
) -> dict[str, Any]:
    of = [[part for part in (run or {}).get(PARTS, ()) if part["step"] == step] for run in column]
    parts = [part for found in of for part in found]
    asked = np.array([bool(found) for found in of]) & ~np.isnan(scores)
    runs = sum(run is not None for run in column)
    asks = sum(part["asks"] for part in parts)
    return {
        "runs": sum(map(bool, of)),
        "asks": asks / runs,
        **_flat("accuracy", _accuracy(scores, asked, weights)),
        **_took(parts, runs),
        "seconds": fsum(part["seconds"] for part in parts) / asks,
        "confidence": _mean([part["confidence"] for part in parts if part["confidence"] is not None]),
    }


def _took(parts: Sequence[Found], runs: int) -> dict[str, Any]:
    """What was spent, per run; and who answered."""
    models: Counter[str] = Counter()
    for part in parts:
        models.update(part["models"])
    calls, metered = sum(part["calls"] for part in parts), sum(part["metered"] for part in parts)
    return {
        "usd_per_1k": fsum(part["usd"] for part in parts) / runs * PER,
        "joules": fsum(part["joules"] for part in parts) / runs if metered else nan,
        "metered": metered / calls if calls else nan,
        **{name: sum(part[name] for part in parts) / runs for name in SUMS},
        "shares": {model: count / models.total() for model, count in models.most_common()},
    }


def _accuracy(scores: FloatArray, known: BoolArray, weights: Weights) -> Interval | None:
    if not known.any():
        return None
    return interval(float(scores[known].mean()), _means(scores, known, weights))


def _gain(ours: FloatArray, theirs: FloatArray, weights: Weights) -> Interval | None:
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if not both.any():
        return None
    value = float((ours[both] - theirs[both]).mean())
    return paired_interval(_means(ours, both, weights), _means(theirs, both, weights), value=value)


def _means(scores: FloatArray, known: BoolArray, weights: Weights) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw can miss all of few rows
        return mean_draws(scores[known], weights[:, known])


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else nan


def _flat(name: str, found: Interval | None) -> dict[str, float]:
    """A figure under its name, its interval under the name with `_low` and `_high`."""
    figure = found or Interval(nan, nan, nan)
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
