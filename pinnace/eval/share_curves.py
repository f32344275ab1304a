"""Accuracy over the share of calls to the large model, as curves that a report draws. Pure.

Each curve stands beside the content-blind mix of the same share, with paired intervals. Knows no router: a
method is how much it needs the large model for each row.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnace.eval.bootstrap import AnyWeights
from pinnace.eval.cascade_report import over_blind_draws
from pinnace.eval.pair_metrics import apgr, cpt, share_curve
from pinnace.eval.table import FloatArray

PERCENT = 100.0
SHARES: FloatArray = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A weak and a strong model on n rows, and the methods that choose between them.

    `weak` and `strong` (n,) are scores in 0..1; `needs` are per method (s, n), one row per seed: higher goes
    to the strong model first.
    """

    name: str
    weak: FloatArray
    strong: FloatArray
    needs: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class ShareCurve:
    """A method at `SHARES`, the mean over its seeds: `accuracy` and `over_blind`, which is what it has over
    the content-blind mix, with the ends of its 95 % interval; in points of 100.

    `apgr`, `cpt50` and `cpt80` are the mean of each seed's own.
    """

    accuracy: tuple[float, ...]
    over_blind: tuple[float, ...]
    over_blind_low: tuple[float, ...]
    over_blind_high: tuple[float, ...]
    apgr: float
    cpt50: float
    cpt80: float


@dataclass(frozen=True, slots=True)
class SharePanel:
    """The curves of one pair; `weak` and `strong` are mean scores in points of 100."""

    name: str
    rows: int
    weak: float
    strong: float
    share: tuple[float, ...]
    curves: Mapping[str, ShareCurve]

    def as_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields."""
        return asdict(self)


def share_panel(pair: Pair, weights: AnyWeights) -> SharePanel:
    """The curves of a pair.

    :param weights: (d, n), bootstrap draws of its rows.
    :raises TableError: when a score is missing or outside 0..1.
    """
    return SharePanel(
        name=pair.name,
        rows=len(pair.weak),
        weak=PERCENT * float(pair.weak.mean()),
        strong=PERCENT * float(pair.strong.mean()),
        share=tuple(SHARES.tolist()),
        curves={name: _curve(pair, needs, weights) for name, needs in pair.needs.items()},
    )


def _curve(pair: Pair, needs: FloatArray, weights: AnyWeights) -> ShareCurve:
    weak, strong = pair.weak, pair.strong
    curves = [share_curve(weak, strong, need) for need in needs]
    at = np.linspace(0.0, 1.0, len(weak) + 1)
    accuracy = PERCENT * np.mean([np.interp(SHARES, at, curve) for curve in curves], axis=0)
    blind = PERCENT * (weak.mean() + SHARES * (strong.mean() - weak.mean()))
    shares = tuple(SHARES.tolist())
    draws = np.mean([over_blind_draws(weak, strong, -need, weights, shares) for need in needs], axis=0)
    low, high = PERCENT * np.quantile(draws, (0.025, 0.975), axis=0)
    return ShareCurve(
        accuracy=tuple(accuracy.tolist()),
        over_blind=tuple((accuracy - blind).tolist()),
        over_blind_low=tuple(low.tolist()),
        over_blind_high=tuple(high.tolist()),
        apgr=float(np.mean([apgr(curve) for curve in curves])),
        cpt50=float(np.mean([cpt(curve, 50) for curve in curves])),
        cpt80=float(np.mean([cpt(curve, 80) for curve in curves])),
    )
