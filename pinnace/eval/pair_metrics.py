"""Metrics of a router between two models, a weak one and a strong one. Pure.

A router scores each row's need of the strong model; every share of strong calls is one setting of it. PGR,
APGR and CPT are RouteLLM's (arXiv 2406.18665), here over all n + 1 shares where its code takes ten
thresholds. Rows of equal need are averaged over all their orders, so that a constant score is random
routing. Shares are 0..1. Of a cascade's escalation: its gain, what it broke, and the content-blind control.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinnace.eval.bootstrap import AnyWeights, in_blocks
from pinnace.eval.complete import require_numbers, require_unit
from pinnace.eval.table import FloatArray
from pinnace.router.ranking import Ranking, falling, read_at, running

BoolArray = npt.NDArray[np.bool_]

RIGHT = 0.5
"""A score from here on counts as right where a metric needs right or wrong."""
NO_GAP = 1e-12
"""Two mean scores that differ by no more than this are equal: their difference is rounding."""


def share_curve(weak: FloatArray, strong: FloatArray, need: FloatArray) -> FloatArray:
    """Accuracy at each share of strong calls 0/n, 1/n, ..., n/n: from scores (n,) to (n + 1,).

    :param need: higher goes to the strong model first.
    :raises TableError: when a column has a gap, or a score is outside 0..1.
    """
    ranking, gained = _by_need(weak, strong, need)
    mass, gain = _totals(ranking, gained, np.ones((1, len(weak))))
    calls = np.arange(len(weak) + 1, dtype=np.float64)
    return weak.mean() + read_at(calls[None], mass, gain)[0] / len(weak)


def pgr(accuracy: float, weak: float, strong: float) -> float:
    """Performance gap recovered: (accuracy - weak) / (strong - weak); NaN where there is no gap."""
    gap = strong - weak
    return (accuracy - weak) / gap if abs(gap) > NO_GAP else np.nan


def apgr(curve: FloatArray) -> float:
    """Average PGR: the trapezoid area under a share curve, scaled so that weak is 0 and strong is 1.

    NaN where the curve's ends are equal. Routing at random has 0.5.
    """
    area = float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
    return pgr(area, float(curve[0]), float(curve[-1]))


def cpt(curve: FloatArray, percent: float) -> float:
    """Call-performance threshold: the smallest share of strong calls that recovers `percent` of the gap.

    NaN where it is never recovered, or where the strong model is no better than the weak one.
    """
    gap = curve[-1] - curve[0]
    reached = curve >= curve[0] + gap * percent / 100 - NO_GAP
    return float(reached.argmax() / (len(curve) - 1)) if gap > NO_GAP and reached.any() else np.nan


def accuracy_at(curve: FloatArray, share: float) -> float:
    """Accuracy at one share of strong calls, 0..1; on the line between the two nearest settings."""
    return float(np.interp(share, np.linspace(0.0, 1.0, len(curve)), curve))


def content_blind(weak: float, strong: float, share: float) -> float:
    """Accuracy of sending that share of the calls to the strong model without looking at them."""
    return weak + share * (strong - weak)


def apgr_draws(weak: FloatArray, strong: FloatArray, need: FloatArray, weights: AnyWeights) -> FloatArray:
    """`apgr` of each bootstrap draw; weights (d, n) give (d,)."""
    ranking, gained = _by_need(weak, strong, need)

    def areas(block: FloatArray) -> FloatArray:
        mass, gain = _totals(ranking, gained, block)
        area = (np.diff(mass) * (gain[:, 1:] + gain[:, :-1]) / 2).sum(axis=1) / mass[:, -1]
        gap = _known_gap(gain[:, -1], mass[:, -1], least=-np.inf)
        return area / gap

    return in_blocks(areas, weights)


def cpt_draws(
    weak: FloatArray, strong: FloatArray, need: FloatArray, weights: AnyWeights, percent: float
) -> FloatArray:
    """`cpt` of each bootstrap draw; weights (d, n), whole numbers, give (d,)."""
    ranking, gained = _by_need(weak, strong, need)

    def shares(block: FloatArray) -> FloatArray:
        mass, gain = _totals(ranking, gained, block)
        total = mass[:, -1]
        target = _known_gap(gain[:, -1], total, least=0.0) * percent / 100 - NO_GAP * total
        reached = gain >= target[:, None]
        end, row = reached.argmax(axis=1), np.arange(len(block))
        start = np.maximum(end - 1, 0)
        rise = gain[row, end] - gain[row, start]
        part = (target - gain[row, start]) / np.where(rise > 0, rise, np.inf)
        crossing = mass[row, start] + part * (mass[row, end] - mass[row, start])
        return np.where(reached.any(axis=1), np.ceil(crossing - NO_GAP * total) / total, np.nan)

    return in_blocks(shares, weights)


@dataclass(frozen=True, slots=True)
class Escalation:
    """What climbing from the small model S to the large one L did on the rows E that climbed.

    `share`: f, of the rows in E. `gain`: f (acc_L|E - acc_S|E). `blind_gain`: f (acc_L - acc_S), what
    climbing on as many rows drawn blindly would have gained. `regressions`: P(S right, L wrong | E).
    `tax`: acc_L - acc_L|E, how much harder the rows in E are for L than all rows. NaN where E is empty.
    """

    share: float
    gain: float
    blind_gain: float
    regressions: float
    tax: float


def escalation(small: FloatArray, large: FloatArray, escalated: BoolArray) -> Escalation:
    """Measure an escalation from both models' scores (n,) on every row, climbed or not.

    :raises TableError: when a score is missing or outside 0..1.
    """
    require_unit(small=small, large=large)
    share = float(escalated.mean())
    blind_gain = share * float(large.mean() - small.mean())
    if not escalated.any():
        return Escalation(share, 0.0, blind_gain, np.nan, np.nan)
    before, after = small[escalated], large[escalated]
    return Escalation(
        share=share,
        gain=share * float(after.mean() - before.mean()),
        blind_gain=blind_gain,
        regressions=float(np.mean((before >= RIGHT) & (after < RIGHT))),
        tax=float(large.mean() - after.mean()),
    )


def _by_need(weak: FloatArray, strong: FloatArray, need: FloatArray) -> tuple[Ranking, FloatArray]:
    """The order in which rows go to the strong model, and what each gains there."""
    require_unit(weak=weak, strong=strong)
    require_numbers(need=need)
    assert weak.shape == strong.shape == need.shape, (weak.shape, strong.shape, need.shape)
    return falling(need), strong - weak


def _totals(ranking: Ranking, gained: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows sent to the strong model and score gained by it, after each run of equal need; (d, g + 1)."""
    return running(ranking.sums(weights)), running(ranking.sums(weights * gained))


def _known_gap(gain: FloatArray, total: FloatArray, *, least: float) -> FloatArray:
    """The gap in summed score; NaN where there is none, or it is below `least`."""
    return np.where((np.abs(gain) > NO_GAP * total) & (gain > least), gain, np.nan)
