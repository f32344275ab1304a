"""All that was asked of `auto` as one stream, beside an oracle that knows each prompt's task. Pure.

The oracle gives every task to the member that scored best on it. Keys that `stream_of` gives:

- `rows` of the stream; `accuracy` of `auto`, `oracle` of the oracle, `gap` between them (ours minus its).
- `best`: per task the oracle's member. `clear`: tasks whose best member leads every other beyond chance.
- `to_best`: of the rows of those tasks, the share that the route gave to that member.
- `shares`: of the stream, by who answered.

`_low` and `_high` are the 95 % of bootstrap draws of prompts.
"""

from collections import Counter
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import draw_weights, interval, mean_draws
from pinnace.eval.members import is_member
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.dispatch import AUTO
from pinnace.router.types import IntArray


def stream_of(table: OutcomeTable, *, draws: int, seed: int) -> dict[str, Any]:
    """The figures of the stream; nothing where a table has no scored `auto`, or no member beside it."""
    members = [j for j, name in enumerate(table.models) if is_member(name)]
    if AUTO not in table.models or AUTO not in table.evidence or not members:
        return {}
    ours = table.scores[:, table.models.index(AUTO)]
    answered = [str((each or {}).get("answered_by", "")) for each in table.evidence[AUTO]]
    rows = np.flatnonzero(~np.isnan(ours) & ~np.isnan(table.scores[:, members]).all(axis=1))
    if not len(rows):
        return {}
    oracle: FloatArray = np.full(len(table), np.nan)
    best, clear = dict[str, str](), list[str]()
    for nth, (task, own) in enumerate(_by_task(table, rows).items()):
        column, leads = _best(table.scores[own][:, members], draws, seed + nth)
        best[task] = table.models[members[column]]
        oracle[own] = table.scores[own, members[column]]
        clear += [task] if leads else []
    kept: IntArray = rows[~np.isnan(oracle[rows])]
    weights = draw_weights(len(kept), draws, seed)
    figures = {"accuracy": ours[kept], "oracle": oracle[kept], "gap": ours[kept] - oracle[kept]}
    told: dict[str, Any] = {"rows": len(kept)}
    for name, values in figures.items():
        drawn = interval(float(values.mean()), mean_draws(values, weights))
        told |= {name: drawn.value, f"{name}_low": drawn.low, f"{name}_high": drawn.high}
    at: list[int] = kept.tolist()
    counts = Counter(answered[row] for row in at)
    at_best = [answered[row] == best[table.tasks[row]] for row in at if table.tasks[row] in clear]
    return told | {
        "best": best,
        "clear": clear,
        "to_best": float(np.mean(at_best)) if at_best else float("nan"),
        "shares": {model: count / len(kept) for model, count in counts.most_common()},
    }


def _by_task(table: OutcomeTable, rows: IntArray) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    at: list[int] = rows.tolist()
    for row in at:
        found.setdefault(table.tasks[row], []).append(row)
    return found


def _best(scores: FloatArray, draws: int, seed: int) -> tuple[int, bool]:
    """Of scores (n, c) the column with the best mean, and whether it leads every other one beyond chance."""
    known = ~np.isnan(scores)
    filled = np.where(known, scores, 0.0)
    means = np.where(known.any(axis=0), filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1), -np.inf)
    best = int(np.argmax(means))
    weights = draw_weights(len(scores), draws, seed)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw can miss all of few rows
        leads = [
            interval(0.0, mean_draws(scores[both, best] - scores[both, other], weights[:, both])).low > 0
            for other in range(scores.shape[1])
            if other != best and (both := known[:, best] & known[:, other]).any()
        ]
    return best, bool(leads) and all(leads)
