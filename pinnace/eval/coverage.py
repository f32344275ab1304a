"""Coverage at an accuracy: how many answers a gate can let pass before too many of them are wrong. Pure."""

import numpy as np

from pinnace.eval.bootstrap import AnyWeights, in_blocks
from pinnace.eval.complete import require_numbers, require_unit
from pinnace.eval.table import FloatArray
from pinnace.router.ranking import falling, running

ROUNDING = 1e-9


def coverage_at(confidence: FloatArray, right: FloatArray, accuracy: float) -> float:
    """The largest share of rows, most confident first, whose mean score is at least `accuracy`; both (n,).

    A threshold passes rows of equal confidence all or none. 0 where even the first fall short.

    :raises TableError: when a column has a gap, or `right` leaves 0..1.
    """
    return float(coverage_at_draws(confidence, right, np.ones((1, len(right))), accuracy)[0])


def coverage_at_draws(
    confidence: FloatArray, right: FloatArray, weights: AnyWeights, accuracy: float
) -> FloatArray:
    """`coverage_at` of each bootstrap draw; weights (d, n) give (d,)."""
    require_numbers(confidence=confidence)
    require_unit(right=right)
    ranking = falling(confidence)

    def shares(block: FloatArray) -> FloatArray:
        mass, score = running(ranking.sums(block)), running(ranking.sums(block * right))
        is_enough = score >= accuracy * mass - ROUNDING
        return np.where(is_enough, mass, 0.0).max(axis=1) / mass[:, -1]

    return in_blocks(shares, weights)
