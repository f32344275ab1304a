"""Metrics of a router over many models: one choice per row, and the curve of its settings. Pure.

`chosen` (n,) is a column per row, `scores` (n, m) are in 0..1 and `costs` (n, m) in USD. Every model must
have been run on every row: a gap is refused with TableError, because leaving rows out is the caller's choice
to make and to state.
"""

from dataclasses import dataclass
from math import log2

import numpy as np

from pinnace.eval.complete import require_numbers, require_unit
from pinnace.eval.curve import hull_area, is_one_cost, mean_height, upper_hull
from pinnace.eval.pair_metrics import NO_GAP, RIGHT
from pinnace.eval.table import FloatArray
from pinnace.router.types import IntArray

ARENA_DEAREST, ARENA_CHEAPEST = 200.0, 0.0044
"""USD per 1,000 queries at which RouterArena's cost score is 0 and 1."""


def routed(chosen: IntArray, values: FloatArray) -> FloatArray:
    """Each row's value in its chosen column: from (n, m) to (n,)."""
    assert chosen.shape == values.shape[:1], (chosen.shape, values.shape)
    assert ((chosen >= 0) & (chosen < values.shape[1])).all(), "a chosen column is not in the table"
    return np.take_along_axis(values, chosen[:, None], axis=1)[:, 0]


def accuracy(chosen: IntArray, scores: FloatArray) -> float:
    """Mean score of the chosen models."""
    require_unit(scores=scores)
    return float(routed(chosen, scores).mean())


def mean_cost(chosen: IntArray, costs: FloatArray) -> float:
    """Mean cost of the chosen models, USD per prompt."""
    require_numbers(costs=costs)
    return float(routed(chosen, costs).mean())


def best_single(scores: FloatArray) -> float:
    """Accuracy of the one model that is best on these very rows."""
    require_unit(scores=scores)
    return float(scores.mean(axis=0).max())


def oracle(scores: FloatArray) -> float:
    """Accuracy of a router that always knows the best model of the row."""
    require_unit(scores=scores)
    return float(scores.max(axis=1).mean())


def gain_over_best_single(chosen: IntArray, scores: FloatArray) -> float:
    """Accuracy minus that of the best single model."""
    return accuracy(chosen, scores) - best_single(scores)


def gap_to_oracle(chosen: IntArray, scores: FloatArray) -> float:
    """(oracle - accuracy) / oracle; NaN where no model ever scores."""
    top = oracle(scores)
    return (top - accuracy(chosen, scores)) / top if top > 0 else np.nan


def is_cheapest_right(chosen: IntArray, scores: FloatArray, costs: FloatArray) -> FloatArray:
    """Per row 1 where the chosen model is the cheapest of those that are right, else 0; NaN where none is.

    Right is a score of at least 0.5. Of models that are right at one cost, each counts as the cheapest.
    """
    require_unit(scores=scores)
    require_numbers(costs=costs)
    right = scores >= RIGHT
    least = np.where(right, costs, np.inf).min(axis=1)
    hit = (routed(chosen, scores) >= RIGHT) & (routed(chosen, costs) <= least)
    return np.where(right.any(axis=1), hit.astype(np.float64), np.nan)


def routing_accuracy(chosen: IntArray, scores: FloatArray, costs: FloatArray) -> float:
    """Share of prompts sent to the cheapest model that is right, among those that any model gets right."""
    hits = is_cheapest_right(chosen, scores, costs)
    known = hits[~np.isnan(hits)]
    return float(known.mean()) if known.size else np.nan


def arena_score(quality: float, usd_per_1k: float, beta: float = 0.1) -> float:
    """RouterArena's S = (1 + b) A C / (b A + C) (arXiv 2510.00202), C the cost on a falling log scale.

    C is 1 at 0.0044 USD per 1,000 queries and 0 at 200; as in their code it is not clipped there. NaN where
    the cost is 0: its logarithm is not defined.
    """
    if usd_per_1k <= 0:
        return np.nan
    cheapness = log2(ARENA_DEAREST / usd_per_1k) / log2(ARENA_DEAREST / ARENA_CHEAPEST)
    below = beta * quality + cheapness
    return (1 + beta) * quality * cheapness / below if below else np.nan


@dataclass(frozen=True, slots=True)
class Aiq:
    """RouterBench's average improvement in quality, in both of its normalisations.

    `by_range`: area under the hull over the common range of cost, divided by that range (their paper).
    `by_largest`: area from the router's own cheapest point on, divided by the largest cost (their code).
    """

    by_range: float
    by_largest: float


def aiq(costs: FloatArray, qualities: FloatArray, low: float, high: float) -> Aiq:
    """AIQ of the settings (p,) of one router.

    :param low: the least cost of all routers that are compared.
    :param high: the largest; more than 0.
    """
    first = min(float(upper_hull(costs, qualities)[0][0]), high)
    own = hull_area(costs, qualities, first, high) * (high - first)
    return Aiq(by_range=hull_area(costs, qualities, low, high), by_largest=own / high)


def audc(costs: FloatArray, qualities: FloatArray, low: float, high: float) -> float:
    """Area under the deferral curve: trapezoid of quality over cost, scaled to 0..1 from low to high.

    The curve goes through every setting, good or bad, in order of cost; of settings of one cost the best
    counts; beyond its ends it is flat. Where low and high are one cost: the best quality at or below it.

    :param low: mean cost of the cheapest model.
    :param high: mean cost of the dearest model.
    """
    require_numbers(costs=costs, qualities=qualities)
    if is_one_cost(np.asarray(low), np.asarray(high)):
        return hull_area(costs, qualities, low, high)
    order = np.lexsort((-qualities, costs))
    distinct, first = np.unique(costs[order], return_index=True)
    return mean_height(distinct, qualities[order][first], low, high)


def qnc(costs: FloatArray, qualities: FloatArray, quality: float, low: float, high: float) -> float:
    """Quality-neutral cost: the smallest scaled cost of a setting that reaches `quality`.

    0 is the cheapest model's mean cost and 1 the dearest's; only settings count, not mixes of them. NaN where
    none reaches it; 0 where low and high are one cost.

    :param quality: the best single model's accuracy.
    """
    require_numbers(costs=costs, qualities=qualities)
    reached = costs[qualities >= quality - NO_GAP]
    if not reached.size:
        return np.nan
    one = is_one_cost(np.asarray(low), np.asarray(high))
    return 0.0 if one else float((reached.min() - low) / (high - low))
