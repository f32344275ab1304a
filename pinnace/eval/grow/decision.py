"""Whether a specialist earns its place, and below which confidence its answers never stand. Pure.

**The bar.** On n calibration rows the teacher has the quality t and the specialist s, each 0 to 1, and its
answers were given confidences by gates that had not seen them. With a bar b, an answer at b or above
stands, and the teacher answers the others. Lost are then L(b) = sum of max(t - s, 0) over the answers that
stand, out of n. The bar is the lowest for which the one-sided 95 % upper bound of the lost share (Clopper
and Pearson 1934) is at most (1 - keep) x mean(t). L only grows as b falls, so that the bars are tested in a
fixed order, from the safest (Angelopoulos et al. 2021), and the bound holds for the one that is chosen.
Wins over the teacher count nothing.

**The gain.** On rows that the former routing has really answered, with quality q0 at a cost of c0 USD, the
new one has q1 = s or t at c1 = the specialist's cost, and the teacher's beside it where it climbs. A row's
gain is (q1 - q0) + lambda (c0 - c1): quality won, and USD saved at the policy's exchange rate lambda
(quality per USD, `pinnace.router.policy.exchange_rate`). The gain per cost is sum of gains / sum of c0. The
specialist is registered where the lower end of its 95 % bootstrap interval, rows drawn anew, is above 0,
and there is a bar.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv  # pyright: ignore

from pinnace.eval.bootstrap import Interval, draw_weights, interval
from pinnace.eval.table import FloatArray

KEEP = 0.97
CONFIDENCE = 0.95
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Bar:
    """Answers of at least this confidence may stand; `share` of the calibration rows do, and `kept` is the
    share of the teacher's quality that is left then."""

    least: float
    share: float
    kept: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a specialist is registered, and why; the `bar` is None where none keeps enough, and the `gain`
    per USD None then."""

    is_registered: bool
    why: str
    bar: Bar | None
    gain: Interval | None


def certified_bar(
    confidence: FloatArray, specialist: FloatArray, teacher: FloatArray, keep: float = KEEP
) -> Bar | None:
    """The lowest bar that keeps `keep` of the teacher's quality; None where none is certified.

    :param confidence: of each of n answers, held out; `specialist` and `teacher` are scores, all (n,).
    """
    n = len(confidence)
    if not n:
        return None
    order = np.argsort(-confidence, kind="stable")
    lost = np.cumsum(np.maximum(teacher - specialist, 0.0)[order])
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) < 0, True))  # equal confidences fall together
    bounds = np.asarray(betaincinv(lost[ends] + 1, np.maximum(n - lost[ends], 1e-9), CONFIDENCE))
    passed = np.flatnonzero(bounds > (1 - keep) * teacher.mean())
    count = int(passed[0]) if len(passed) else len(ends)
    if not count:
        return None
    end = int(ends[count - 1])
    stands = order[: end + 1]
    quality = teacher.copy()
    quality[stands] = specialist[stands]
    least = 0.0 if end == n - 1 else float(confidence[order[end]])
    kept = float(quality.mean() / teacher.mean()) if teacher.mean() > 0 else 1.0
    return Bar(least, (end + 1) / n, kept)


def gain_per_cost(
    quality: tuple[FloatArray, FloatArray],
    usd: tuple[FloatArray, FloatArray],
    rates: FloatArray,
    seed: int = 0,
) -> Interval:
    """Gain per USD that was spent before, with its bootstrap interval.

    :param quality: before and after, of each of n rows; `usd` likewise.
    :param rates: lambda of each row, quality per USD, (n,).
    """
    gains = (quality[1] - quality[0]) + rates * (usd[0] - usd[1])
    spent = float(usd[0].sum())
    if spent <= 0:
        return Interval(0.0, 0.0, 0.0)
    weights = draw_weights(len(gains), DRAWS, seed).astype(np.float64)
    drawn = (weights @ gains) / np.maximum(weights @ usd[0], 1e-300)
    return interval(float(gains.sum()) / spent, drawn)


def decide(bar: Bar | None, gain: Interval | None, keep: float = KEEP) -> Verdict:
    """Register, or not; says why."""
    if bar is None:
        return Verdict(
            False, f"no bar of its gate is certified to keep {keep:.0%} of the teacher's quality", bar, gain
        )
    assert gain is not None, "what has a bar has a gain"
    told = f"gain per USD {gain.value:.4g} ({gain.low:.4g} to {gain.high:.4g})"
    if not gain.low > 0:
        return Verdict(False, f"{told}: its lower bound is not above 0", bar, gain)
    return Verdict(True, told, bar, gain)
