"""Cost-quality curves: the hull and the area under it, by hand, by brute force and as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from pinnace.errors import TableError
from pinnace.eval.curve import hull_area, hull_areas, hull_at, mean_height, upper_hull

# Under the line from (1, 0.5) to (3, 0.8), whose height at 2 is 0.65, lies (2, 0.4).
COSTS = np.array([3.0, 0.0, 2.0, 1.0])
QUALITIES = np.array([0.8, 0.2, 0.4, 0.5])

thousandths = st.integers(0, 1000).map(lambda value: value / 1000)
points = st.lists(st.tuples(thousandths, thousandths), min_size=1, max_size=12).map(
    lambda pairs: (np.array([c for c, _ in pairs]), np.array([q for _, q in pairs]))
)
ranges = st.tuples(thousandths, thousandths).map(sorted)


def by_brute_force(costs, qualities, cost):
    """The best of all mixes of two settings that cost exactly `cost`, and of all settings that cost less."""
    heights = [q for c, q in zip(costs, qualities, strict=True) if c <= cost]
    for c0, q0 in zip(costs, qualities, strict=True):
        for c1, q1 in zip(costs, qualities, strict=True):
            if c0 <= cost <= c1 and c0 < c1:
                heights.append(q0 + (q1 - q0) * (cost - c0) / (c1 - c0))
    return max(heights)


def test_the_hull_of_four_points():
    costs, qualities = upper_hull(COSTS, QUALITIES)
    assert costs.tolist() == [0, 1, 3]
    assert qualities.tolist() == [0.2, 0.5, 0.8]
    np.testing.assert_allclose(hull_at(COSTS, QUALITIES, np.array([0.5, 2, 9])), [0.35, 0.65, 0.8])


@pytest.mark.parametrize(
    ("low", "high", "area"),
    [
        (0, 3, 0.55),  # (1 x 0.35 + 2 x 0.65) / 3
        (0, 4, 0.6125),  # (0.35 + 1.3 + 1 x 0.8) / 4
        (1, 2, 0.575),  # between heights 0.5 and 0.65
        (5, 7, 0.8),  # all of it right of the last point
        (2, 2, 0.5),  # one cost: the best setting at or below it, no mix
        (0, 0, 0.2),
    ],
)
def test_areas_by_hand(low, high, area):
    assert hull_area(COSTS, QUALITIES, low, high) == pytest.approx(area)


def test_left_of_the_first_point_the_hull_is_clamped():
    one = np.array([1.0]), np.array([0.5])
    assert hull_area(*one, 0, 2) == pytest.approx(0.5)
    assert hull_area(*one, 0.5, 0.5) == 0.5
    assert hull_at(*one, np.array([0.0]))[0] == 0.5


def test_a_range_as_narrow_as_rounding_is_one_cost():
    cost = 1e-4
    costs, qualities = np.array([cost, cost + 1e-19]), np.array([0.3, 0.7])
    assert hull_area(costs, qualities, cost, cost + 1e-19) == 0.7


def test_of_points_of_one_cost_the_best_counts():
    costs, qualities = upper_hull(np.array([1.0, 1.0, 2.0]), np.array([0.2, 0.6, 0.6]))
    assert (costs.tolist(), qualities.tolist()) == ([1.0], [0.6])


def test_the_height_of_a_line_counts_its_valleys():
    # Flat 0.5 over 0..1, then 0.5 down to 0.1 and up to 0.7: (0.5 + 0.3 + 0.4) / 3.
    assert mean_height(np.array([1.0, 2, 3]), np.array([0.5, 0.1, 0.7]), 0, 3) == pytest.approx(0.4)


@pytest.mark.parametrize("wrong", [[], [0.1, np.nan], [0.1, np.inf]])
def test_points_that_are_not_numbers_are_refused(wrong):
    with pytest.raises(TableError, match=r"qualities|costs"):
        upper_hull(np.arange(float(len(wrong))), np.array(wrong))


@given(points, thousandths)
def test_the_hull_is_what_two_settings_can_be_mixed_to(drawn, cost):
    cost = max(cost, drawn[0].min())
    assert hull_at(*drawn, np.array([cost]))[0] == pytest.approx(by_brute_force(*drawn, cost))


@given(points)
def test_a_hull_rises_bends_down_and_lies_above_all_points(drawn):
    costs, qualities = upper_hull(*drawn)
    assert (np.diff(costs) > 0).all()
    assert (np.diff(qualities) > 0).all()
    assert (np.diff(np.diff(qualities) / np.diff(costs)) < 1e-9).all()
    assert (hull_at(*drawn, drawn[0]) >= drawn[1] - 1e-12).all()
    assert qualities[-1] == drawn[1].max()


@given(points, ranges)
def test_the_area_is_the_trapezoid_through_the_corners(drawn, limits):
    low, high = limits
    corners = upper_hull(*drawn)[0]
    knots = np.unique(np.concatenate([[low, high], corners[(corners > low) & (corners < high)]]))
    if low < high:
        expected = auc(knots, hull_at(*drawn, knots)) / (high - low)
        assert hull_area(*drawn, low, high) == pytest.approx(expected)


@given(st.lists(st.tuples(points, ranges), min_size=1, max_size=6))
def test_many_areas_at_once_are_the_single_ones(draws):
    widest = max(len(drawn[0]) for drawn, _ in draws)
    pad = [[np.pad(side, (0, widest - len(side)), mode="edge") for side in drawn] for drawn, _ in draws]
    low, high = np.array([limits for _, limits in draws]).T
    areas = hull_areas(np.array([c for c, _ in pad]), np.array([q for _, q in pad]), low, high)
    singles = [hull_area(*drawn, *limits) for drawn, limits in draws]
    np.testing.assert_allclose(areas, singles, rtol=0, atol=1e-12)


@given(points, ranges, st.randoms(use_true_random=False), st.floats(1e-6, 1e6))
def test_neither_order_nor_cost_unit_matters(drawn, limits, random, unit):
    order = list(range(len(drawn[0])))
    random.shuffle(order)
    costs, qualities = drawn[0][order] * unit, drawn[1][order]
    area = hull_area(costs, qualities, limits[0] * unit, limits[1] * unit)
    assert area == pytest.approx(hull_area(*drawn, *limits), abs=1e-9)


@given(points, ranges, st.integers(0, 11), thousandths, thousandths)
def test_a_dominated_setting_changes_nothing(drawn, limits, which, dearer, worse):
    which %= len(drawn[0])
    costs = np.append(drawn[0], drawn[0][which] + dearer)
    qualities = np.append(drawn[1], drawn[1][which] - worse)
    assert hull_area(costs, qualities, *limits) == pytest.approx(hull_area(*drawn, *limits), abs=1e-12)


@given(points, ranges, thousandths)
def test_one_more_setting_at_no_lower_cost_never_shrinks_the_area(drawn, limits, quality):
    more = np.append(drawn[0], drawn[0].max()), np.append(drawn[1], quality)
    assert hull_area(*more, *limits) >= hull_area(*drawn, *limits) - 1e-12
