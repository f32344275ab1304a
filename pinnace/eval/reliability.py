"""Reliability curves for the report: what a confidence says against how often it is right, bin by bin. Pure.

The bins are those of the ECE (`gate_metrics`): equal mass, least confident first. Knows nothing of where a
confidence comes from, and draws nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pinnace.eval.bootstrap import Z95
from pinnace.eval.gate_metrics import BINS, ece, reliability
from pinnace.eval.table import FloatArray

What = Literal["estimate", "mean_logprob", "uncalibrated", "gate"]
MIN_BIN = 10
"""Rows that a bin has at least: a short table gets fewer bins."""


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityCurve:
    """Per bin, all (bins,): mean confidence, mean score with its 95 % interval, and rows.

    :param what: `estimate` is the router's word before the answer, `gate` the one after it, `uncalibrated`
        the gate's without its curve, `mean_logprob` exp of the mean log-probability of the answer's tokens.
    :param ece: the expected calibration error over the same bins.
    """

    model: str
    what: What
    confidence: FloatArray
    right: FloatArray
    low: FloatArray
    high: FloatArray
    counts: FloatArray
    ece: float

    def as_json(self) -> Mapping[str, Any]:
        """Plain values under the names of the fields."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self).items()
        }


def reliability_curve(
    model: str, what: What, confidence: FloatArray, right: FloatArray, *, bins: int = BINS
) -> ReliabilityCurve:
    """The curve of `confidence` (n,) in 0..1 against the scores `right` (n,) in 0..1.

    A row across the border of two bins counts in each by its part, so `counts` need not be whole.

    :raises TableError: when a column has a gap or leaves 0..1.
    """
    bins = max(1, min(bins, len(right) // MIN_BIN))
    found = reliability(confidence, right, bins)
    counts = np.full(bins, len(right) / bins)
    low, high = wilson_interval(found.right, counts)
    return ReliabilityCurve(
        model, what, found.confidence, found.right, low, high, counts, ece(confidence, right, bins)
    )


def wilson_interval(share: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Wilson's 95 % interval of a share of `counts` rows; for graded scores it is wider than it need be."""
    z2 = Z95**2
    centre = (share + z2 / (2 * counts)) / (1 + z2 / counts)
    spread = Z95 * np.sqrt(share * (1 - share) / counts + z2 / (4 * counts**2)) / (1 + z2 / counts)
    return np.minimum(np.maximum(centre - spread, 0.0), share), np.maximum(
        np.minimum(centre + spread, 1.0), share
    )
