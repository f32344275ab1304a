"""Calibration: curves from log-odds to the probability that they turn out to be, and how far one is off.

Pure. A curve must be fitted on log-odds of rows that their model was not fitted on; that is the caller's
business. Labels are 0.0 or 1.0.
"""

from bisect import bisect_right
from dataclasses import dataclass
from math import exp, log

import numpy as np

from pinnace.router.ranking import Ranking, falling, read_at, running
from pinnace.router.types import FloatArray

NEWTON_STEPS = 50
BINS = 10


@dataclass(frozen=True, slots=True)
class Platt:
    """P(right) = sigmoid(intercept + slope x log-odds)."""

    slope: float
    intercept: float

    def probability(self, log_odds: float) -> float:
        """P(right) at one value."""
        return sigmoid(self.intercept + self.slope * log_odds)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """P(right) on straight lines between knots: `x` log-odds, rising, and `y` probabilities, not falling.

    Level beyond the first and the last knot.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def probability(self, log_odds: float) -> float:
        """P(right) at one value."""
        above = bisect_right(self.x, log_odds)
        if above == 0 or above == len(self.x):
            return self.y[0 if above == 0 else -1]
        left, right = self.x[above - 1], self.x[above]
        part = (log_odds - left) / (right - left)
        return self.y[above - 1] + part * (self.y[above] - self.y[above - 1])


Curve = Platt | Isotonic


def apply_curve(curve: Curve, odds: FloatArray) -> FloatArray:
    """P(right) at each of `odds` (n,)."""
    if isinstance(curve, Platt):
        return sigmoids(curve.intercept + curve.slope * odds)
    return np.interp(odds, curve.x, curve.y)


def fit_platt(odds: FloatArray, right: FloatArray) -> Platt:
    """Platt's curve (1999) through log-odds and labels, both (n,), with his targets kept off 0 and 1.

    It does not fall: where the rows would have it fall, it is level at the share of right answers.
    """
    rights, wrongs = float(right.sum()), float(len(right) - right.sum())
    target = np.where(right > 0, (rights + 1) / (rights + 2), 1 / (wrongs + 2))
    centre, scale = float(odds.mean()), float(max(odds.std(), 1e-6))
    rows = np.stack([(odds - centre) / scale, np.ones(len(odds))], axis=1)
    found = np.array([0.0, log((rights + 1) / (wrongs + 1))])
    for _ in range(NEWTON_STEPS):
        probability = sigmoids(rows @ found)
        spread = np.maximum(probability * (1 - probability), 1e-9)
        curvature = rows.T @ (rows * spread[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, rows.T @ (probability - target))
        found = found - np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-10:
            break
    if found[0] < 0:
        return Platt(0.0, log((rights + 1) / (wrongs + 1)))
    slope = float(found[0]) / scale
    return Platt(slope, float(found[1]) - slope * centre)


def fit_isotonic(odds: FloatArray, right: FloatArray) -> Isotonic:
    """The isotonic curve through log-odds and labels, both (n,).

    Pools adjacent violators, then draws straight lines between the pools' centres (centred isotonic
    regression, Oron and Flournoy 2017), so that ranks within a pool are kept. Each pool's share counts half a
    right and half a wrong answer more, which keeps it off 0 and 1.
    """
    x, pooled = np.unique(odds, return_inverse=True)
    mass = np.bincount(pooled).astype(np.float64)
    sums = np.bincount(pooled, weights=right)
    pools: list[tuple[float, float, float]] = []  # mass, rights, mass x log-odds
    for row_mass, row_sum, row_x in zip(mass.tolist(), sums.tolist(), x.tolist(), strict=True):
        pool = (row_mass, row_sum, row_mass * row_x)
        while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    centres = np.maximum.accumulate([total / count for count, _, total in pools])
    shares = np.maximum.accumulate([(rights + 0.5) / (count + 1) for count, rights, _ in pools])
    return Isotonic(tuple(centres.tolist()), tuple(shares.tolist()))


def expected_calibration_error(confidence: FloatArray, right: FloatArray, bins: int = BINS) -> float:
    """Mean |mean confidence - mean score| over the bins of `bin_means`, in 0..1; both (n,)."""
    once = np.ones((1, len(right)))
    return float(calibration_errors(falling(confidence), once, confidence - right, bins)[0])


def calibration_errors(ranking: Ranking, draws: FloatArray, off: FloatArray, bins: int) -> FloatArray:
    """The same of each draw, (d,): `draws` (d, n) say how often each row counts.

    :param ranking: of the confidences; `off` (n,) is confidence minus score.
    """
    means = np.abs(bin_means(ranking, draws, off, bins)).mean(axis=1)
    return np.minimum(means, 1.0)  # rounding may lift a mean of ones above one


def bin_means(ranking: Ranking, draws: FloatArray, values: FloatArray, bins: int) -> FloatArray:
    """Mean of `values` (n,) in each bin of equal mass, most confident first; (d, bins).

    A row, or a run of rows of equal confidence, across the border of two bins counts in each by its part.
    """
    mass, sums = running(ranking.sums(draws)), running(ranking.sums(draws * values))
    borders = np.linspace(0.0, 1.0, bins + 1) * mass[:, -1:]
    return np.diff(read_at(borders, mass, sums)) / (mass[:, -1:] / bins)


def log_loss(confidence: FloatArray, right: FloatArray) -> float:
    """Mean negative log-likelihood of the labels, in nats; probabilities kept off 0 and 1 by 1e-6."""
    return float(log_losses(confidence, right).mean())


def log_losses(confidence: FloatArray, right: FloatArray) -> FloatArray:
    """The same of each row, (n,)."""
    kept = np.clip(confidence, 1e-6, 1 - 1e-6)
    return -(right * np.log(kept) + (1 - right) * np.log1p(-kept))


def sigmoid(value: float) -> float:
    """The logistic function, safe at both ends."""
    if value >= 0:
        return 1 / (1 + exp(-value))
    grown = exp(value)
    return grown / (1 + grown)


def sigmoids(values: FloatArray) -> FloatArray:
    """The same of each value."""
    grown = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0, grown) / (1 + grown)
