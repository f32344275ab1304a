"""Where labels go, so that none lies on another, on a dot or on a line. Pure geometry, all in points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnace.eval.table import FloatArray
from pinnace.router.types import IntArray

ANGLES, RINGS, STEP = 16, 10, 5.0
"""Places that are tried around a dot: directions, rings, and points from ring to ring."""
ROUNDS, STARTS = 6, 4
PIECES = 10
"""A leader, the thin line from a dot to its label, is looked at in so many points."""
OUTSIDE, ON_DOT, ON_LABEL, ACROSS_LABEL, ACROSS_DOT, ON_LINE, FAR = 40.0, 80.0, 2.0, 16.0, 10.0, 0.9, 0.04
"""What is bad about a place: per point out of bounds, per dot touched, per square point shared with a label,
per label and per dot that a leader crosses, per point of a line covered, per point from the dot.
"""


def place_labels(
    anchors: FloatArray,
    sizes: FloatArray,
    radii: FloatArray,
    obstacles: FloatArray,
    bounds: Sequence[float],
) -> FloatArray:
    """The centre of each label's box, (n, 2): near its dot, in the best of the places around it.

    Label by label, and some rounds over, each takes the place that is best while the others stay; of some
    orders of the labels the best outcome counts.

    :param anchors: (n, 2), the dots that the labels name.
    :param sizes: (n, 2), width and height of each label.
    :param radii: (n,) of the dots; labels keep off all of them.
    :param obstacles: (o, 2), points of lines that a label should not cover.
    :param bounds: left, bottom, right, top of where labels may be.
    """
    n = len(anchors)
    tried = [_try(i, anchors, sizes, radii, obstacles, bounds) for i in range(n)]
    rng = np.random.default_rng(0)
    orders = [np.arange(n), *(rng.permutation(n) for _ in range(STARTS - 1))]
    outcomes = [_settled(tried, order) for order in orders]
    chosen, _ = min(outcomes, key=lambda outcome: outcome[1])
    return np.array([each.centres[place] for each, place in zip(tried, chosen, strict=True)]).reshape(n, 2)


def push_apart(
    places: FloatArray, radii: FloatArray, bounds: Sequence[float], rounds: int = 400
) -> FloatArray:
    """Circles (n, 2) pushed apart until none overlaps, or `rounds` are over, within `bounds`."""
    places = places.copy()
    low, high = np.asarray(bounds[:2]), np.asarray(bounds[2:])
    for _ in range(rounds):
        away = places[:, None] - places[None]
        distance = np.hypot(away[..., 0], away[..., 1])
        np.fill_diagonal(distance, np.inf)
        lack = np.maximum(radii[:, None] + radii[None] - distance, 0.0)
        if not lack.any():
            break
        towards = away / np.maximum(distance, 1e-6)[..., None]
        places += 0.3 * (lack[..., None] * towards).sum(axis=1)
        places = np.clip(places, low + radii[:, None], high - radii[:, None])
    return places


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """The p places tried for one label: box centres (p, 2), boxes (p, 4) and leaders (p, PIECES, 2).

    `cost` (p,) is what is bad about each whatever the other labels do.
    """

    centres: FloatArray
    boxes: FloatArray
    leaders: FloatArray
    cost: FloatArray

    def clash(self, boxes: FloatArray, leaders: FloatArray) -> FloatArray:
        """What is bad about each place because of other labels (k, 4) and their leaders (k, PIECES, 2)."""
        low = np.maximum(self.boxes[:, None, :2] - 1, boxes[None, :, :2])
        high = np.minimum(self.boxes[:, None, 2:] + 1, boxes[None, :, 2:])
        shared = np.prod(np.maximum(high - low, 0.0), axis=2)
        under = _touched(self.boxes, leaders.reshape(-1, 2), np.zeros(leaders.size // 2))
        over = _inside(self.leaders[:, :, None], boxes).any(axis=1)
        crossings = under.reshape(len(self.boxes), len(boxes), PIECES).any(axis=2) + over.astype(int)
        return (ON_LABEL * shared + ACROSS_LABEL * crossings).sum(axis=1)


def _try(
    i: int,
    anchors: FloatArray,
    sizes: FloatArray,
    radii: FloatArray,
    obstacles: FloatArray,
    bounds: Sequence[float],
) -> _Tried:
    """The places for label `i`."""
    anchor, half = anchors[i], sizes[i] / 2
    centres = _around(anchor, sizes[i], float(radii[i]))
    boxes = np.hstack([centres - half, centres + half])
    ends = np.clip(anchor, boxes[:, :2], boxes[:, 2:])
    steps = np.linspace(0.0, 0.95, PIECES)[None, :, None]
    leaders = anchor + steps * (ends - anchor)[:, None]
    others = np.delete(np.arange(len(anchors)), i)
    crossed = _distance(leaders[:, :, None], anchors[others]) <= radii[others]
    cost = (
        FAR * _distance(ends, anchor)
        + OUTSIDE * _outside(boxes, bounds)
        + ON_DOT * _touched(boxes, anchors, radii + 0.5).sum(axis=1)
        + ON_LINE * _touched(boxes, obstacles, np.full(len(obstacles), 0.5)).sum(axis=1)
        + ACROSS_DOT * crossed.any(axis=1).sum(axis=1)
    )
    return _Tried(centres, boxes, leaders, cost)


def _settled(tried: Sequence[_Tried], order: IntArray) -> tuple[list[int], float]:
    """The place of each label after some rounds in this order, and how bad they are together."""
    chosen = [-1] * len(tried)
    labels: list[int] = order.tolist()
    total = 0.0
    for _ in range(ROUNDS):
        before, total = list(chosen), 0.0
        for i in labels:
            placed = [(tried[j], chosen[j]) for j in range(len(tried)) if j != i and chosen[j] >= 0]
            cost: FloatArray = tried[i].cost
            if placed:
                boxes = np.array([each.boxes[place] for each, place in placed])
                cost = cost + tried[i].clash(boxes, np.array([each.leaders[place] for each, place in placed]))
            chosen[i] = int(np.argmin(cost))
            total += float(cost[chosen[i]])
        if before == chosen:
            break
    return chosen, total


def _around(anchor: FloatArray, size: FloatArray, radius: float) -> FloatArray:
    """Centres of boxes that touch rings around the anchor, (ANGLES x RINGS, 2); to the right comes first."""
    angles = 2 * np.pi * np.arange(ANGLES) / ANGLES
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [anchor + directions * (radius + 3.0 + STEP * ring) for ring in range(RINGS)]
    return np.concatenate([ring + np.sign(directions.round(6)) * size / 2 for ring in rings])


def _distance(a: FloatArray, b: FloatArray) -> FloatArray:
    away = a - b
    return np.hypot(away[..., 0], away[..., 1])


def _outside(boxes: FloatArray, bounds: Sequence[float]) -> FloatArray:
    low = np.maximum(np.asarray(bounds[:2]) - boxes[:, :2], 0.0)
    high = np.maximum(boxes[:, 2:] - np.asarray(bounds[2:]), 0.0)
    return (low + high).sum(axis=1)


def _touched(boxes: FloatArray, points: FloatArray, radii: FloatArray) -> Any:
    """Which discs each box touches, (boxes, points)."""
    nearest = np.clip(points[None], boxes[:, None, :2], boxes[:, None, 2:])
    return _distance(nearest, points[None]) <= radii[None]


def _inside(points: FloatArray, boxes: FloatArray) -> Any:
    """Which boxes each point lies in: points (..., 1, 2) and boxes (k, 4) give (..., k)."""
    return ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(axis=-1)
