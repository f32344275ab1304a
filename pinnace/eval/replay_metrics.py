"""The field's metrics of one method on one split, in every bootstrap draw.

Formulas and normalisations are those of `pinnace.eval.routing_metrics` and `pinnace.eval.pair_metrics`.
"""

from collections.abc import Mapping

import numpy as np

from pinnace.eval.bootstrap import AnyWeights, mean_draws
from pinnace.eval.curve import hull_areas, is_one_cost
from pinnace.eval.methods import Settings
from pinnace.eval.pair_metrics import NO_GAP, apgr_draws, cpt_draws
from pinnace.eval.recorded_rows import Split
from pinnace.eval.routing_metrics import arena_score, is_cheapest_right
from pinnace.eval.table import FloatArray

PERCENT = 100.0

NORMALISATION: Mapping[str, str] = {
    "area": "area under the upper hull of quality (0 to 100) over cost, cost scaled to 0..1 between the mean "
    "costs of the cheapest and the dearest member (AIQ by range, times 100); the accuracy where all cost one",
    "small_accuracy": "mean score, 0 to 100, when choosing among the small models only, cost not counted",
    "accuracy": "mean score, 0 to 100, of the setting that looks at quality only, over the whole pool",
    "cost_usd_per_1k": "USD per 1,000 requests of that setting",
    "pgr": "(accuracy - weak) / (strong - weak); weak: the small model that is best on the rows learnt from",
    "apgr": "area under accuracy over the share of strong calls; 0 is the weak, 1 the strong model alone",
    "cpt50": "smallest share of strong calls that recovers 50 % of the gap between weak and strong",
    "cpt80": "smallest share of strong calls that recovers 80 % of that gap",
    "aiq_by_largest": "area under the hull from the method's own cheapest point to the dearest member's mean "
    "cost, divided by that cost (as RouterBench's code does), times 100",
    "audc": "trapezoid of quality over scaled cost through every setting, without a hull, times 100",
    "qnc": "smallest scaled cost of a setting that reaches the best single model's quality",
    "gain_over_best_single": "accuracy minus that of the model that is best on these very rows",
    "gap_to_oracle": "(oracle - accuracy) / oracle",
    "routing_accuracy": "share sent to the cheapest right model, of the prompts that any model gets right",
    "arena_score": "RouterArena's score of accuracy and USD per 1,000 requests, beta 0.1",
}


def metric_draws(
    split: Split,
    settings: Settings,
    weights: AnyWeights,
    costs: FloatArray,
    qualities: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> dict[str, FloatArray]:
    """Every metric but area and small accuracy by name, (draws,); NaN where it is not defined.

    :param weights: of the test rows, (draws, n).
    :param costs: of each setting, (draws, p), with `qualities`; the best-quality setting first.
    :param low: mean cost of the cheapest model, (draws,); `high` that of the dearest.
    """
    quality, cost = qualities[:, 0], costs[:, 0]
    singles = mean_draws(split.test.scores, weights)
    best = singles.max(axis=1)
    top = mean_draws(split.test.scores.max(axis=1), weights)
    single_cost = is_one_cost(low, high)
    scaled = (costs - low[:, None]) / np.where(single_cost, np.inf, high - low)[:, None]
    return {
        "accuracy": PERCENT * quality,
        "cost_usd_per_1k": 1_000 * cost,
        "gain_over_best_single": PERCENT * (quality - best),
        "gap_to_oracle": (top - quality) / np.where(top > 0, top, np.nan),
        "routing_accuracy": _routing_accuracy(split, settings, weights),
        "arena_score": np.array([arena_score(q, 1_000 * c) for q, c in zip(quality, cost, strict=True)]),
        "audc": PERCENT
        * np.where(single_cost, hull_areas(costs, qualities, low, high), _deferral_area(scaled, qualities)),
        "qnc": _neutral_cost(scaled, qualities, best),
        "aiq_by_largest": PERCENT * _by_largest(costs, qualities, high),
        **_pair_draws(split, settings, weights, quality, singles),
    }


def _pair_draws(
    split: Split, settings: Settings, weights: AnyWeights, quality: FloatArray, singles: FloatArray
) -> dict[str, FloatArray]:
    """Metrics of the pair of the best small model and the large one."""
    if split.large is None:
        return {}
    weak = int(split.small[int(np.argmax(split.train.scores.mean(axis=0)[split.small]))])
    gap = singles[:, split.large] - singles[:, weak]
    found = {"pgr": (quality - singles[:, weak]) / np.where(np.abs(gap) > NO_GAP, gap, np.nan)}
    if settings.need is None:
        return found
    pair = split.test.scores[:, weak], split.test.scores[:, split.large], settings.need
    return found | {
        "apgr": apgr_draws(*pair, weights),
        "cpt50": cpt_draws(*pair, weights, 50),
        "cpt80": cpt_draws(*pair, weights, 80),
    }


def _routing_accuracy(split: Split, settings: Settings, weights: AnyWeights) -> FloatArray:
    hits = is_cheapest_right(settings.chosen[0], split.test.scores, split.test.costs)
    known = ~np.isnan(hits)
    right, counted = mean_draws(np.stack([known & (hits > 0), known], axis=1).astype(np.float64), weights).T
    return right / np.where(counted > 0, counted, np.nan)


def _deferral_area(scaled: FloatArray, qualities: FloatArray) -> FloatArray:
    """`audc` of each draw: flat beyond the ends, of settings at one cost only the best."""
    order = np.lexsort((qualities, scaled), axis=1)
    x, y = np.take_along_axis(scaled, order, axis=1), np.take_along_axis(qualities, order, axis=1)
    for at in range(x.shape[1] - 2, -1, -1):
        y[:, at] = np.where(x[:, at] == x[:, at + 1], y[:, at + 1], y[:, at])
    x = np.hstack([np.minimum(x[:, :1], 0.0), x, np.maximum(x[:, -1:], 1.0)])
    y = np.hstack([y[:, :1], y, y[:, -1:]])
    left, right = np.clip(x[:, :-1], 0.0, 1.0), np.clip(x[:, 1:], 0.0, 1.0)
    width, rise = np.diff(x, axis=1), np.diff(y, axis=1)
    middle = np.clip(((left + right) / 2 - x[:, :-1]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    return np.asarray(((right - left) * (y[:, :-1] + middle * rise)).sum(axis=1))


def _neutral_cost(scaled: FloatArray, qualities: FloatArray, best: FloatArray) -> FloatArray:
    """`qnc` of each draw."""
    reached = np.where(qualities >= best[:, None] - NO_GAP, scaled, np.inf).min(axis=1)
    return np.where(np.isfinite(reached), reached, np.nan)


def _by_largest(costs: FloatArray, qualities: FloatArray, high: FloatArray) -> FloatArray:
    first = np.minimum(costs.min(axis=1), high)
    share = (high - first) / np.where(high > 0, high, np.nan)
    return hull_areas(costs, qualities, first, high) * share
