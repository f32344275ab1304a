"""A replay as plain values: what `pinnace eval replay --json` prints and the report draws.

Keys: `table`, `rows` used, `dropped` by reason, `test_rows` per split, `seeds`, `draws`, `train_share`,
`small`, `large`, `cost_low` and `cost_high` (mean USD per request of the cheapest and the dearest member),
`normalisation` (what each metric means), `singles` (per model `cost` and `quality`), `methods`, and two
deltas. Each of `methods` has `label`, `kind`, `small_accuracy` and `area` (0..100, with `_low` and `_high`:
95 %), `curve` (`cost`, `quality`, `low`, `high`) and `metrics` (each `value`, `low`, `high`).
`delta_vs_best_peer` (with the `peer`) and `delta_vs_blind` hold Pinnace's value minus the other's for `area`
and `small_accuracy`, with paired intervals. What is not defined is null.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import Interval
from pinnace.eval.recorded_rows import TRAIN_SHARE
from pinnace.eval.replay import PERCENT, MethodFigures, Replay, best_peer, lead
from pinnace.eval.replay_metrics import NORMALISATION

OURS, BLIND = "pinnace", "content_blind"
HEADLINES = ("area", "small_accuracy")


def replay_json(found: Replay, table: str) -> dict[str, Any]:
    """The replay of one table as plain values; NaN stands for what is not defined."""
    costs = [cost for cost, _ in found.singles.values()]
    return {
        "table": table,
        "rows": len(found.recorded),
        "dropped": found.recorded.dropped,
        "test_rows": list(found.test_rows),
        "seeds": found.seeds,
        "draws": found.draws,
        "train_share": TRAIN_SHARE,
        "small": list(found.recorded.pool.small),
        "large": found.recorded.pool.large,
        "cost_low": min(costs),
        "cost_high": max(costs),
        "normalisation": dict(NORMALISATION),
        "singles": {model: {"cost": c, "quality": q} for model, (c, q) in found.singles.items()},
        "methods": {name: _method(method, found) for name, method in found.methods.items()},
        "delta_vs_best_peer": _delta_vs_best_peer(found),
        "delta_vs_blind": _delta(found, dict.fromkeys(HEADLINES, BLIND)),
    }


def _method(figures: MethodFigures, found: Replay) -> dict[str, Any]:
    plain: dict[str, Any] = {"label": figures.method.label, "kind": figures.method.kind}
    for name in HEADLINES:
        plain |= _spread(name, figures.figures[name].interval())
    rest = [name for name in figures.figures if name not in HEADLINES]
    plain["curve"] = _curve(figures, found)
    plain["metrics"] = {name: _valued(figures.figures[name].interval()) for name in rest}
    return plain


def _curve(figures: MethodFigures, found: Replay) -> Mapping[str, Any]:
    heights = PERCENT * figures.curve
    low, high = (np.quantile(heights[1:], level, axis=0) for level in (0.025, 0.975))
    return {
        "cost": found.grid.tolist(),
        "quality": heights[0].tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _delta_vs_best_peer(found: Replay) -> dict[str, Any] | None:
    peers = {name: best_peer(found, name) for name in HEADLINES}
    chosen = {name: peer for name, peer in peers.items() if peer is not None}
    if len(chosen) < len(HEADLINES):
        return None
    return {"peer": chosen["area"], "small_accuracy_peer": chosen["small_accuracy"], **_delta(found, chosen)}


def _delta(found: Replay, others: Mapping[str, str]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, other in others.items():
        plain |= _spread(name, lead(found, OURS, other, name))
    return plain


def _spread(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _valued(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
