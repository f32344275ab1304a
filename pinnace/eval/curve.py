"""Cost-quality curves: the hull above a router's settings, and the area under it. Pure.

A setting is a point: mean cost per prompt and mean quality. Two settings can be mixed by a coin, so that
every point on the line between them can be had too; and no one need spend more for less. What can be had is
therefore the non-decreasing upper concave hull (RouterBench, arXiv 2403.12031). Left of its first point
there is nothing: areas clamp to the first point there, so that callers always add the cheapest model itself.
"""

import numpy as np

from pinnace.eval.complete import require_numbers
from pinnace.eval.table import FloatArray

ONE_COST = 1e-9
"""Two costs that differ by less than this share of them are one cost: their difference is rounding."""


def upper_hull(costs: FloatArray, qualities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The non-decreasing upper concave hull: its corners, costs and qualities both strictly rising.

    After the last corner, which has the best quality, the hull is flat.

    :param costs: of the settings, (p,) in USD per prompt, in any order; `qualities` (p,) are theirs.
    :raises TableError: when there is no point, or one is not a number.
    """
    require_numbers(costs=costs, qualities=qualities)
    order = np.lexsort((-qualities, costs))
    hull: list[tuple[float, float]] = []
    for point in zip(costs[order].tolist(), qualities[order].tolist(), strict=True):
        if hull and point[1] <= hull[-1][1]:
            continue
        while len(hull) > 1 and not _is_above(hull[-1], hull[-2], point):
            hull.pop()
        hull.append(point)
    corners = np.asarray(hull, dtype=np.float64)
    return corners[:, 0], corners[:, 1]


def hull_at(costs: FloatArray, qualities: FloatArray, at: FloatArray) -> FloatArray:
    """Height of the hull at the costs `at`; flat right of its last corner, clamped left of its first."""
    return np.interp(at, *upper_hull(costs, qualities))


def hull_area(costs: FloatArray, qualities: FloatArray, low: float, high: float) -> float:
    """Mean height of the hull over the costs from `low` to `high`: an exact integral, cost scaled to 0..1.

    Where `low` and `high` are one cost, the best quality at or below it.
    """
    corners = upper_hull(costs, qualities)
    if is_one_cost(np.asarray(low), np.asarray(high)):
        return float(_best_within(costs, qualities, np.asarray(high)))
    return mean_height(*corners, low, high)


def hull_areas(costs: FloatArray, qualities: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """`hull_area` of many draws at once: points (d, p), ranges (d,), areas (d,).

    Walks all hulls together from corner to corner, always along the steepest rise (gift wrapping), so that
    the work is draws times points times corners.
    """
    require_numbers(costs=costs, qualities=qualities)
    at = costs.min(axis=1)
    height = np.where(costs == at[:, None], qualities, -np.inf).max(axis=1)
    area = _area(np.minimum(low, at), height, at, height, low, high)
    rows = np.arange(len(costs))
    while rows.size:
        rises, column = _steepest(costs[rows], qualities[rows], at[rows], height[rows])
        rows, column = rows[rises], column[rises]
        cost, quality = costs[rows, column], qualities[rows, column]
        area[rows] += _area(at[rows], height[rows], cost, quality, low[rows], high[rows])
        at[rows], height[rows] = cost, quality
    area += _area(at, height, np.maximum(high, at), height, low, high)
    single = is_one_cost(low, high)
    return np.where(single, _best_within(costs, qualities, high), area / np.where(single, 1.0, high - low))


def mean_height(costs: FloatArray, heights: FloatArray, low: float, high: float) -> float:
    """Mean height over the costs from `low` to `high` of the line through points of rising cost.

    Flat left of the first point and right of the last.
    """
    x = np.concatenate([[min(low, costs[0])], costs, [max(high, costs[-1])]])
    y = np.concatenate([heights[:1], heights, heights[-1:]])
    return float(_area(x[:-1], y[:-1], x[1:], y[1:], np.asarray(low), np.asarray(high)).sum() / (high - low))


def is_one_cost(low: FloatArray, high: FloatArray) -> np.ndarray:
    """Whether a range of costs is no wider than rounding."""
    assert (low <= high).all(), (low, high)
    return high - low <= ONE_COST * np.maximum(np.abs(low), np.abs(high))


def _is_above(corner: tuple[float, float], before: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether a corner stands above the line between its neighbours."""
    (x0, y0), (x1, y1), (x2, y2) = before, corner, after
    return (y1 - y0) * (x2 - x0) > (y2 - y0) * (x1 - x0)


def _steepest(
    costs: FloatArray, qualities: FloatArray, at: FloatArray, height: FloatArray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each hull still rises from where it stands, and the column of the point it rises to."""
    run, rise = costs - at[:, None], qualities - height[:, None]
    ahead = (run > 0) & (rise > 0)
    with np.errstate(over="ignore"):
        slope = np.divide(rise, run, out=np.full_like(run, -np.inf), where=ahead)
    return slope.max(axis=1) > 0, slope.argmax(axis=1)


def _area(
    x0: FloatArray, y0: FloatArray, x1: FloatArray, y1: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Area under the lines from (x0, y0) to (x1, y1), x0 <= x1, as far as they lie within low..high."""
    left, right = np.clip(x0, low, high), np.clip(x1, low, high)
    width = x1 - x0
    with np.errstate(over="ignore"):
        middle = ((left + right) / 2 - x0) / np.where(width > 0, width, 1.0)
    return (right - left) * (y0 + np.clip(middle, 0.0, 1.0) * (y1 - y0))


def _best_within(costs: FloatArray, qualities: FloatArray, high: FloatArray) -> FloatArray:
    """Best quality at or below a cost; where there is none, that of the cheapest point."""
    budget = np.maximum(high + ONE_COST * np.abs(high), costs.min(axis=-1))
    return np.where(costs <= budget[..., None], qualities, -np.inf).max(axis=-1)
