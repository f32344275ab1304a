"""Bootstrap of rows, or of clusters of rows: multiplicities, what they do to a mean, and intervals.

A draw is a row of weights: how often each row of the table was drawn (Efron 1979). Drawn once and handed
to every method, the same weights pair their draws. Knows no metric but the mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pinnace.eval.table import FloatArray
from pinnace.router.types import IntArray

Weights = npt.NDArray[np.float32]
AnyWeights = Weights | FloatArray

BLOCK_CELLS = 1 << 18
"""Draws times rows that are worked on at once: 2 MB in float64, about what a core's cache holds."""
PRODUCT_CELLS = 1 << 22
"""The same for matrix products, 32 MB: threads of the linear algebra cost more the more calls there are."""
Z95 = NormalDist().inv_cdf(0.975)
"""The 97.5 % point of the normal distribution, for 95 % intervals that need no draws."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the percentile interval of its bootstrap draws; NaN where it is not defined."""

    value: float
    low: float
    high: float


def draw_weights(n: int, draws: int, seed: int, groups: Sequence[str] | IntArray | None = None) -> Weights:
    """How often each of `n` rows is drawn, (draws, n): whole numbers, kept as float32 for products.

    :param groups: one name or number per row: rows of one group are drawn together, as many groups as there
        are. The rows of a draw then do not sum to `n` unless the groups are of one size.
    """
    assert n > 0, n
    member = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    assert len(member) == n, (len(member), n)
    units = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    weights = np.empty((draws, n), dtype=np.float32)
    for draw in weights:
        draw[:] = np.bincount(rng.integers(0, units, units), minlength=units)[member]
    return weights


def mean_draws(values: FloatArray, weights: AnyWeights) -> FloatArray:
    """Weighted means: `values` (n,) give (draws,), values (n, p) give (draws, p)."""

    def means(block: FloatArray) -> FloatArray:
        totals = block.sum(axis=1)
        return (block @ values) / (totals if values.ndim == 1 else totals[:, None])

    return in_blocks(means, weights, PRODUCT_CELLS)


def in_blocks(
    statistic: Callable[[FloatArray], FloatArray], weights: AnyWeights, cells: int = BLOCK_CELLS
) -> FloatArray:
    """Apply `statistic`, from weights (b, n) to (b, ...), to all draws, a few of them at a time."""
    step = max(1, cells // weights.shape[1])
    blocks = [weights[at : at + step].astype(np.float64) for at in range(0, len(weights), step)]
    return np.concatenate([statistic(block) for block in blocks])


def interval(value: float, draws: FloatArray, confidence: float = 0.95) -> Interval:
    """The percentile interval around `value`; draws in which the figure is not defined (NaN) are left out."""
    known = draws[~np.isnan(draws)]
    if not known.size:
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def paired_interval(
    a_draws: FloatArray, b_draws: FloatArray, *, value: float, confidence: float = 0.95
) -> Interval:
    """The interval of a minus b, both drawn with the same weights.

    :param value: a minus b on the rows themselves.
    """
    assert a_draws.shape == b_draws.shape, (a_draws.shape, b_draws.shape)
    return interval(value, a_draws - b_draws, confidence)
