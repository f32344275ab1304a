"""The door of every metric: columns without gaps, and shares that are shares.

Knows nothing of what the columns mean: the caller chooses the rows that are complete.
"""

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import FloatArray


def require_numbers(**columns: FloatArray) -> None:
    """Refuse columns that are empty or have a gap.

    :raises TableError: names the column and the row (from 1).
    """
    for name, values in columns.items():
        if not values.size:
            raise TableError(f"{name}: expected at least one row, got none")
        _refuse(name, values, ~np.isfinite(values), "a number in every row (choose the complete rows first)")


def require_unit(**columns: FloatArray) -> None:
    """Refuse columns that are empty, have a gap, or leave the range from 0 to 1.

    :raises TableError: names the column and the row (from 1).
    """
    require_numbers(**columns)
    for name, values in columns.items():
        _refuse(name, values, (values < 0) | (values > 1), "a number from 0 to 1")


def _refuse(name: str, values: FloatArray, wrong: np.ndarray, expected: str) -> None:
    if wrong.any():
        cell = tuple(int(position) for position in np.argwhere(wrong)[0])
        raise TableError(f"{name}: row {cell[0] + 1}: expected {expected}, got {float(values[cell])!r}")
