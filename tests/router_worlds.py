"""A made-up world of three models whose true qualities are known, for tests of floors and budgets."""

from dataclasses import dataclass

import numpy as np

from pinnace.router.rate_table import RateTable, calibrate
from pinnace.router.types import FloatArray

LARGE = 2
PRICES = np.asarray([0.0001, 0.0004, 0.006])
"""USD of a request of usual length."""


@dataclass(frozen=True, slots=True)
class World:
    """n requests: `features` (n, d) of which qualities are linear, true and estimated qualities (n, 3),
    scores that were drawn from the true ones, and costs, all (n, 3).
    """

    features: FloatArray
    truth: FloatArray
    quality: FloatArray
    scores: FloatArray
    usd: FloatArray

    def table(self) -> RateTable:
        """The world as calibration rows."""
        return calibrate(self.quality, self.usd, self.scores, self.usd, LARGE)


def make_world(n: int, seed: int, *, noise: float = 0.05, gap: float = 0.25) -> World:
    """`noise` is the standard deviation of the estimates' error; the large model is better by `gap`."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    weights = np.asarray([[0.1, 0.05, 0.0, 0.1], [0.1, -0.05, 0.05, 0.0], [0.05, 0.0, 0.0, 0.0]])
    base = np.asarray([0.8 - gap, 0.85 - gap, 0.8])
    truth = np.clip(base + features @ weights.T, 0, 1)
    quality = truth + rng.normal(scale=noise, size=truth.shape)
    scores = (rng.random(truth.shape) < truth).astype(np.float64)
    return World(features, truth, quality, scores, rng.lognormal(sigma=0.3, size=(n, 1)) * PRICES)
