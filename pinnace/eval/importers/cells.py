"""Scores and costs as others write them down: numbers, True and False, text of either, or nothing."""

import math
import sys

from pinnace.eval.task_rows import Row

_WORDS = {"true": 1.0, "false": 0.0}
_NOTHING = ("", "nan", "none", "null")


def score_of(row: Row, key: str, value: object, top: float = 1.0) -> float:
    """A score from 0 to `top`, brought to [0, 1]; NaN for nothing.

    :raises TableError: for anything else; names the file, the row and `key`.
    """
    return _number(row, key, value, top, f"a score from 0 to {top:g}, or True or False") / top


def cost_of(row: Row, key: str, value: object) -> float:
    """A cost in USD; NaN for nothing.

    :raises TableError: for anything but a number from 0 up; names the file, the row and `key`.
    """
    return _number(row, key, value, sys.float_info.max, "USD, 0 or more")


def _number(row: Row, key: str, value: object, top: float, expected: str) -> float:
    number = _parsed(value)
    if number is None or not (math.isnan(number) or 0 <= number <= top):
        raise row.complaint(key, expected, value)
    return number


def _parsed(value: object) -> float | None:
    """The number that a cell holds; None where it holds something else."""
    if value is None:
        return math.nan
    if isinstance(value, int | float):
        return float(value) if abs(value) <= sys.float_info.max else (math.nan if value != value else None)
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    if text in _NOTHING:
        return math.nan
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return None
