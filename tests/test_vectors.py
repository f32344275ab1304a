"""Vectors brought to length one."""

import numpy as np

from pinnace.router.vectors import normalised


def test_a_row_of_zeros_stays() -> None:
    np.testing.assert_array_equal(normalised(np.array([[0.0, 0.0], [3.0, 4.0]])), [[0, 0], [0.6, 0.8]])
