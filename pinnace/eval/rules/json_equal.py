"""JSON equality: the same value, however it is written."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pinnace.models.json_fit import is_same

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def by_json(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the answer is the gold JSON value: 1 equals 1.0, true is no number, the order of keys does
    not matter and that of lists does. Taken as the answer: the first fenced block, where there is one."""
    block = _FENCED.search(answer)
    said, gold = parsed(block[1] if block else answer), parsed(expected)
    try:
        return float(said is not BROKEN and gold is not BROKEN and is_same(said, gold))
    except RecursionError:
        return 0.0


BROKEN = object()
"""What text that is no JSON comes to."""


def parsed(text: str) -> Any:
    """The JSON value of `text`, or `BROKEN`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return BROKEN
