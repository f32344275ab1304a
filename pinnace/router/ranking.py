"""Rows in falling order of a value, equal values kept together.

What is summed per run of equal values does not depend on how ties happened to lie in the table: that is
how every ranked metric here averages over ties.
"""

from dataclasses import dataclass

import numpy as np

from pinnace.router.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """`order` (n,) puts the highest value first; `starts` (g,) is where each run of equal values begins."""

    order: IntArray
    starts: IntArray

    def sums(self, rows: FloatArray) -> FloatArray:
        """Sums over each run of equal values: from (d, n) in the table's order to (d, g), highest first."""
        ordered = rows[:, self.order]
        if len(self.starts) == len(self.order):
            return ordered
        return np.add.reduceat(ordered, self.starts, axis=1)


def falling(values: FloatArray) -> Ranking:
    """The ranking of rows by `values` (n,), highest first."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return Ranking(order, starts)


def running(sums: FloatArray) -> FloatArray:
    """Running totals with the zero in front: from (d, g) to (d, g + 1)."""
    totals = np.zeros((sums.shape[0], sums.shape[1] + 1))
    np.cumsum(sums, axis=1, out=totals[:, 1:])
    return totals


def read_at(marks: FloatArray, mass: FloatArray, totals: FloatArray) -> FloatArray:
    """Running totals at any mass, on the line within a run of ties: marks (d, k) give (d, k)."""
    read = np.empty_like(marks)
    for line in range(len(marks)):
        read[line] = np.interp(marks[line], mass[line], totals[line])
    return read
