"""Labels: off each other, off the dots, within bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.eval.figures.places import place_labels, push_apart

BOUNDS = (0.0, 0.0, 400.0, 200.0)
NO_LINES = np.empty((0, 2))


def boxes_of(centres, sizes):
    return np.hstack([centres - sizes / 2, centres + sizes / 2])


def shared(a, b):
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_a_dozen_labels_overlap_neither_each_other_nor_a_dot_nor_the_edge(seed):
    anchors = np.random.default_rng(seed).uniform((20, 20), (380, 180), (12, 2))
    sizes = np.tile([50.0, 9.0], (12, 1))
    boxes = boxes_of(place_labels(anchors, sizes, np.full(12, 2.0), NO_LINES, BOUNDS), sizes)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= BOUNDS[2:]).all()
    for i, box in enumerate(boxes):
        assert not any(shared(box, other) for other in boxes[i + 1 :])
        assert not ((anchors > box[:2]) & (anchors < box[2:])).all(axis=1).any()


def test_a_label_alone_stands_close_by_and_leaves_a_line_free():
    anchor, size = np.array([[200.0, 100.0]]), np.array([[40.0, 9.0]])
    line = np.stack([np.linspace(0, 400, 200), np.full(200, 110.0)], axis=1)
    (centre,) = place_labels(anchor, size, np.array([2.0]), line, BOUNDS)
    (box,) = boxes_of(centre[None], size)
    assert box[3] < 110
    assert np.hypot(*(np.clip(anchor[0], box[:2], box[2:]) - anchor[0])) < 10


def test_no_labels_have_no_places():
    nothing = np.empty((0, 2))
    assert place_labels(nothing, nothing, np.empty(0), NO_LINES, BOUNDS).shape == (0, 2)


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_circles_pushed_apart_do_not_overlap_and_stay_inside(seed, n):
    rng = np.random.default_rng(seed)
    radii = rng.uniform(3, 12, n)
    places = push_apart(rng.uniform((20, 20), (380, 180), (n, 2)), radii, BOUNDS)
    assert (places >= radii[:, None] - 1e-9).all()
    assert (places <= np.array(BOUNDS[2:]) - radii[:, None] + 1e-9).all()
    distance = np.hypot(*np.moveaxis(places[:, None] - places[None], 2, 0)) + 1e9 * np.eye(n)
    assert (distance > 0.97 * (radii[:, None] + radii[None])).all()


def test_circles_that_stand_alone_stay_where_they_are():
    places = np.array([[50.0, 50.0], [300.0, 150.0]])
    assert push_apart(places, np.array([9.0, 9.0]), BOUNDS) == pytest.approx(places)
