"""Values that a request may name, each as people say it and as a call has it. Drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Value = tuple[str, Any]
"""How a person says it, and what stands in the call."""

TEXTS: Mapping[str, list[str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())


def one_of(texts: list[str]) -> Callable[[random.Random], Value]:
    """A text as it stands."""

    def pick(draw: random.Random) -> Value:
        text = draw.choice(texts)
        return text, text

    return pick


def whole(low: int, high: int) -> Callable[[random.Random], Value]:
    """A whole number, said in digits; of a thousand and more sometimes with a comma."""

    def pick(draw: random.Random) -> Value:
        number = draw.randint(low, high)
        return (f"{number:,}" if draw.random() < 0.3 else str(number)), number

    return pick


def year(draw: random.Random) -> Value:
    """A year, which nobody writes with a comma."""
    number = draw.randint(1900, 2024)
    return str(number), number


def decimal(low: float, high: float) -> Callable[[random.Random], Value]:
    """A number with one or two decimals."""

    def pick(draw: random.Random) -> Value:
        number = round(draw.uniform(low, high), draw.choice((1, 2)))
        return str(number), number

    return pick


def percent(draw: random.Random) -> Value:
    """A rate that is said in per cent and called as a fraction."""
    rate = draw.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25))
    return f"{rate}%", rate / 100


def date(draw: random.Random) -> Value:
    """A day, said with its month or as ISO has it."""
    of_year, month, day = draw.randint(2019, 2027), draw.randint(1, 12), draw.randint(1, 28)
    iso, spoken = f"{of_year}-{month:02}-{day:02}", TEXTS["month"][month - 1]
    return draw.choice((f"{spoken} {day}, {of_year}", f"{day} {spoken} {of_year}", iso)), iso


def clock(draw: random.Random) -> Value:
    """A time of day, in 24 hours or twice 12."""
    hour, minute = draw.randint(1, 23), draw.choice((0, 15, 30, 45))
    half, of_day = (hour - 1) % 12 + 1, "am" if hour < 12 else "pm"
    said = draw.choice((f"{hour:02}:{minute:02}", f"{half}:{minute:02} {of_day}"))
    return said, f"{hour:02}:{minute:02}"


def whole_list(draw: random.Random) -> Value:
    """Some whole numbers."""
    numbers = [draw.randint(1, 99) for _ in range(draw.randint(3, 6))]
    return draw.choice((", ".join(map(str, numbers)), str(numbers))), numbers


def text_list(texts: list[str]) -> Callable[[random.Random], Value]:
    """Two or three texts."""

    def pick(draw: random.Random) -> Value:
        chosen = draw.sample(texts, draw.randint(2, 3))
        return f"{', '.join(chosen[:-1])} and {chosen[-1]}", chosen

    return pick


KINDS: Mapping[str, tuple[Mapping[str, Any], Callable[[random.Random], Value]]] = {
    "city": ({"type": "string"}, one_of(TEXTS["city"])),
    "country": ({"type": "string"}, one_of(TEXTS["country"])),
    "person": ({"type": "string"}, one_of(TEXTS["person"])),
    "topic": ({"type": "string"}, one_of(TEXTS["topic"])),
    "dish": ({"type": "string"}, one_of(TEXTS["dish"])),
    "product": ({"type": "string"}, one_of(TEXTS["product"])),
    "title": ({"type": "string"}, one_of(TEXTS["title"])),
    "element": ({"type": "string"}, one_of(TEXTS["element"])),
    "animal": ({"type": "string"}, one_of(TEXTS["animal"])),
    "currency": ({"type": "string"}, one_of(TEXTS["currency"])),
    "language": ({"type": "string"}, one_of(TEXTS["language"])),
    "date": ({"type": "string"}, date),
    "clock": ({"type": "string"}, clock),
    "small": ({"type": "integer"}, whole(2, 12)),
    "count": ({"type": "integer"}, whole(3, 90)),
    "amount": ({"type": "integer"}, whole(50, 25_000)),
    "year": ({"type": "integer"}, year),
    "number": ({"type": "number"}, decimal(0.5, 90)),
    "rate": ({"type": "number"}, percent),
    "numbers": ({"type": "array", "items": {"type": "integer"}}, whole_list),
    "cities": ({"type": "array", "items": {"type": "string"}}, text_list(TEXTS["city"])),
    "people": ({"type": "array", "items": {"type": "string"}}, text_list(TEXTS["person"])),
}
