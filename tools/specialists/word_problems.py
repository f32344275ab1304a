"""Word problems and sums with their worked answers, from a seeded program; and GSM8K's answers as equations.

An answer is the steps as equations, the result last: what a small model can compute is one step at a time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MOST_STEPS = 2
TABLES: Any = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())


def word_problem_rows(count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """`count` problems with one or two steps; in every third a number stands that is not needed."""
    for _ in range(count):
        problem = draw.choice(TABLES["two_steps" if draw.random() < 0.35 else "one_step"])
        first, *rest = problem["steps"]
        names, things = draw.sample(TABLES["names"], 2), draw.sample(TABLES["things"], 2)
        numbers = _numbers(draw, is_product=first in ("a*b", "c/a", "a*d"))
        words = {"n": names[0], "m": names[1], "t": things[0], "v": things[1]}
        words |= {"h": draw.choice(TABLES["holders"]), "p": draw.choice(TABLES["places"])}
        words |= {"u": draw.randrange(2, 80)}
        prompt = problem["text"].format(**words, **numbers)
        if draw.random() < 1 / 3:
            prompt = _with_unneeded(prompt, draw.choice(TABLES["unneeded"]).format(**words), draw)
        yield {"prompt": prompt, "answer": _worked(first, rest, numbers)}


def sum_rows(count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """`count` sums, differences and products of up to three digits, products of two digits worked out."""
    for _ in range(count):
        sign = draw.choice("+-*")
        digits = (1, 2) if sign == "*" else (1, 2, 3)
        left, right = (draw.randrange(2, 10 ** draw.choice(digits)) for _ in range(2))
        if sign == "-":
            left, right = max(left, right), min(left, right)
        yield {"prompt": f"What is {left} {sign} {right}?", "answer": sum_answer(left, sign, right)}


def sum_answer(left: int, sign: str, right: int) -> str:
    """The answer to one sum, by way of its tens where it is a product of two numbers of two digits."""
    if sign == "*" and left > 9 and right > 9 and right % 10:
        tens, ones = right - right % 10, right % 10
        parts = f"{left} * {tens} = {left * tens}, {left} * {ones} = {left * ones}, "
        return f"{parts}{left * tens} + {left * ones} = {left * right}"
    return f"{left} {sign} {right} = {_computed(left, sign, right)}"


def equations_of(solution: str) -> str | None:
    """GSM8K's worked solution as equations alone; None where it has too many, or one that is not plain."""
    found = re.findall(r"<<([^<>=]+)=([^<>=]+)>>", solution)
    result = solution.rpartition("####")[2].strip().replace(",", "")
    plain = all(re.fullmatch(r"[0-9.+*/() -]+", each[0]) and _is_number(each[1]) for each in found)
    if not 1 <= len(found) <= MOST_STEPS or not plain or not _is_number(result):
        return None
    if float(found[-1][1]) != float(result):
        return None
    spaced = (re.sub(r"\s*([+*/-])\s*", r" \1 ", left).strip() for left, _ in found)
    return ", ".join(f"{left} = {right}" for left, (_, right) in zip(spaced, found, strict=True))


def _numbers(draw: random.Random, *, is_product: bool) -> dict[str, int]:
    """Numbers that every template can take: nothing is negative, nothing is divided with a remainder."""
    low, high = sorted(
        draw.randrange(2, 13 if is_product else draw.choice((20, 100, 1000))) for _ in range(2)
    )
    each = draw.randrange(2, 30)
    small = draw.randrange(1, low) if low > 1 else 1
    return {
        "a": high,
        "b": low,
        "c": high * each,
        "d": small if not is_product else min(small + 1, low),
        "e": 1,
    }


def _worked(first: str, rest: list[str], numbers: dict[str, int]) -> str:
    left, sign, right = first
    value = _computed(numbers[left], sign, numbers[right])
    steps = [f"{numbers[left]} {sign} {numbers[right]} = {value}"]
    for step in rest:
        following = _computed(value, step[0], numbers[step[1]])
        steps.append(f"{value} {step[0]} {numbers[step[1]]} = {following}")
        value = following
    return ", ".join(steps)


def _computed(left: int, sign: str, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right, "/": left // right}[sign]


def _with_unneeded(prompt: str, sentence: str, draw: random.Random) -> str:
    """`prompt` with a sentence that has no part in it, before its last one."""
    *told, asked = re.split(r"(?<=[.?]) ", prompt)
    told.insert(draw.randint(0, len(told)), sentence)
    return " ".join([*told, asked])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text.strip()) is not None
