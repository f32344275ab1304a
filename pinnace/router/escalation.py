"""Escalation gains: what asking another model instead wins per cluster, with a 95 % interval. Pure.

Where the upper bound is not positive, climbing buys nothing, whatever the gate thinks of an answer. Knows
scores alone: neither prices nor gates.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # pyright: ignore

from pinnace.router.types import FloatArray, IntArray

CONFIDENCE = 0.95
MADE_UP = 2
"""Made-up rows in every interval, one won and one lost outright, so that a few equal rows prove nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class EscalationGains:
    """Mean score of the second model minus that of the first, on the rows of a cluster where both ran.

    `gain` and `half` are (k + 1, m, m), the last entry over all rows; the interval is gain -+ half.
    """

    gain: FloatArray
    half: FloatArray

    def intervals(
        self, clusters: IntArray, weights: FloatArray, familiarity: FloatArray, columns: IntArray
    ) -> FloatArray:
        """Gain, low and high of n requests between `columns` (c,), of shape (n, c, c, 3), each in -1..1.

        :param clusters: of each request, and their weights, both (n, p); strange ones, by `familiarity`
            (n,), are nearer to what holds over all.
        """
        part = np.stack([self.gain, self.half], axis=-1)[:, columns][:, :, columns]
        near = np.einsum("np,npijf->nijf", weights, part[clusters])
        like = familiarity[:, None, None, None]
        mixed = like * near + (1 - like) * part[-1]
        gain, half = mixed[..., 0], mixed[..., 1]
        return np.clip(np.stack([gain, gain - half, gain + half], axis=-1), -1.0, 1.0)


def fit_gains(scores: FloatArray, members: IntArray, k: int) -> EscalationGains:
    """The gains of n rows, (n, m), NaN where not run, that fall into one of k clusters each, (n,).

    Student's interval of the paired differences and of `MADE_UP` rows beside them.
    """
    groups = np.vstack([np.arange(k)[:, None] == members, np.ones((1, len(members)), dtype=bool)])
    belongs = groups.astype(np.float64)
    known, filled = (~np.isnan(scores)).astype(np.float64), np.nan_to_num(scores)
    found = [_gains(belongs, known, filled, first) for first in range(scores.shape[1])]
    return EscalationGains(np.stack([g for g, _ in found], axis=1), np.stack([h for _, h in found], axis=1))


def _gains(
    belongs: FloatArray, known: FloatArray, filled: FloatArray, first: int
) -> tuple[FloatArray, FloatArray]:
    """Gains over one model and the half widths of their intervals, both (k + 1, m)."""
    both = known * known[:, [first]]
    won = (filled - filled[:, [first]]) * both
    rows = belongs @ both + MADE_UP
    mean = belongs @ won / rows
    squares = belongs @ won**2 + MADE_UP
    variance = np.maximum(squares - rows * mean**2, 0.0) / (rows - 1)
    quantile = np.asarray(stdtrit(rows - 1, (1 + CONFIDENCE) / 2), dtype=np.float64)
    return mean, np.minimum(quantile * np.sqrt(variance / rows), 2.0)
