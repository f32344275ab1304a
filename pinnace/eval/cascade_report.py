"""A cascade by a gate against the content-blind mix: the same share of calls to the large model. Pure.

The least confident answers are escalated, whatever their number; the control escalates as many blindly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.eval.bootstrap import AnyWeights, Interval, in_blocks, interval
from pinnace.eval.pair_metrics import Escalation, accuracy_at, content_blind, escalation, share_curve
from pinnace.eval.table import FloatArray
from pinnace.router.ranking import falling, read_at, running

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """One share of escalation: accuracies, all 0..1, and `over_blind`, the first minus the second.

    `escalation` is of the rows that climbed: gain, regressions, tax.
    """

    share: float
    accuracy: float
    blind_accuracy: float
    over_blind: Interval
    escalation: Escalation


def cascade_points(
    small: FloatArray,
    large: FloatArray,
    confidence: FloatArray,
    weights: AnyWeights,
    shares: Sequence[float] = SHARES,
) -> tuple[CascadePoint, ...]:
    """The cascade at each share: scores and confidence are (n,), weights are bootstrap draws (d, n).

    :raises TableError: when a score is missing or outside 0..1.
    """
    curve = share_curve(small, large, -confidence)
    draws = over_blind_draws(small, large, confidence, weights, shares)
    least_first = np.argsort(confidence, kind="stable")
    points: list[CascadePoint] = []
    for at, share in enumerate(shares):
        accuracy = accuracy_at(curve, share)
        blind = content_blind(float(curve[0]), float(curve[-1]), share)
        climbed = np.zeros(len(small), dtype=bool)
        climbed[least_first[: round(share * len(small))]] = True
        points.append(
            CascadePoint(
                share=share,
                accuracy=accuracy,
                blind_accuracy=blind,
                over_blind=interval(accuracy - blind, draws[:, at]),
                escalation=escalation(small, large, climbed),
            )
        )
    return tuple(points)


def over_blind_draws(
    small: FloatArray,
    large: FloatArray,
    confidence: FloatArray,
    weights: AnyWeights,
    shares: Sequence[float] = SHARES,
) -> FloatArray:
    """The cascade's accuracy minus the blind mix's, in each draw at each share: (d, shares)."""
    ranking, at = falling(-confidence), np.asarray(shares)

    def differences(block: FloatArray) -> FloatArray:
        mass = running(ranking.sums(block))
        gain = running(ranking.sums(block * (large - small)))
        rows = mass[:, -1:]
        return (read_at(at * rows, mass, gain) - at * gain[:, -1:]) / rows

    return in_blocks(differences, weights)
