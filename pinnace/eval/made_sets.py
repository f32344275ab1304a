"""Rows that the package makes itself: sums, and the everyday facts that ship with it."""

import json
import random
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Protocol

from pinnace.eval.task_rows import Row


class Maker(Protocol):
    """Makes the rows of a set, the same ones every time."""

    def __call__(self) -> Iterator[Row]: ...


def make_arithmetic(n: int = 2000, seed: int = 0) -> Iterator[Row]:
    """Short sums, differences and products whose gold answer is right by construction."""
    draw = random.Random(seed)  # noqa: S311
    for number in range(n):
        sign = draw.choice("+-*")
        digits = (1, 2) if sign == "*" else (1, 2, 3)
        left, right = (draw.randrange(2, 10 ** draw.choice(digits)) for _ in range(2))
        if sign == "-":
            left, right = max(left, right), min(left, right)
        gold = {"+": left + right, "-": left - right, "*": left * right}[sign]
        yield Row(f"sum {number}", {"text": f"What is {left} {sign} {right}?", "answer": str(gold)})


def make_basic_facts() -> Iterator[Row]:
    """The facts of `basic_facts.json` (CC0)."""
    families = json.loads(files("pinnace.eval").joinpath("basic_facts.json").read_bytes())["families"]
    for family in families:
        for subject, gold in family["facts"].items():
            yield Row(f"fact {subject}", {"text": family["question"].format(subject), "answer": gold})


MADE: Mapping[str, Maker] = {"arithmetic": make_arithmetic, "basic_facts": make_basic_facts}
