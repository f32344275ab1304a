"""The figures of floors as plain values: what `pinnace eval floor --json` prints.

Keys: `table`, `rows` used, `dropped` by reason, `small`, `large`, `splits`, `confidence`, `seed`,
`calibration_rows` and `test_rows` of a split, and `floors`: per floor the fields of `FloorFigures`, and
`holds`, whether as few splits missed it as is promised: not more than 1 - `confidence` of them beyond what
the binomial error of that many splits explains, so `missed_low` is at most 1 - `confidence`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pinnace.eval.recorded_rows import Recorded
from pinnace.eval.resplit import FloorFigures, Outcomes, halves


def floor_json(
    recorded: Recorded,
    outcomes: Outcomes,
    figures: Sequence[FloorFigures],
    table: str,
    *,
    confidence: float,
    rows: int | None,
    seed: int,
) -> dict[str, Any]:
    """The figures of one table as plain values; `outcomes` are those of the `recorded` rows."""
    known, unknown = halves(outcomes.rows.groups, np.random.default_rng(seed), rows)
    return {
        "table": table,
        "rows": len(recorded),
        "dropped": recorded.dropped,
        "small": list(recorded.pool.small),
        "large": recorded.pool.large,
        "splits": figures[0].splits,
        "confidence": confidence,
        "seed": seed,
        "calibration_rows": len(known),
        "test_rows": len(unknown),
        "floors": [asdict(each) | {"holds": each.holds(confidence)} for each in figures],
    }
