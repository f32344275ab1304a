"""A numeric answer: the last number that was said."""

import re
from collections.abc import Sequence
from decimal import Decimal

_NUMBER = re.compile(
    r"(?<![0-9])(?:(?<![)\]])[-−])?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
    r"|(?<![\w.])[-−]?\$?\.[0-9]+"
)


def by_number(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the last number in the answer equals the gold one; $ , and a trailing .0 do not matter."""
    said, gold = last_number(answer), last_number(expected)
    return float(gold is not None and said == gold)


def last_number(text: str) -> Decimal | None:
    """The last number in `text`, or None."""
    found: list[str] = _NUMBER.findall(text)
    if not found:
        return None
    return Decimal(found[-1].replace("−", "-").replace("$", "").replace(",", ""))
