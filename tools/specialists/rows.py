"""Writes what one shipped specialist is trained on, as JSON lines for `pinnace train`.

    python tools/specialists/rows.py intents --data ../shared/data/tasks -o intents.jsonl

Prompts are those of the suites that measure the specialist, from their `fit` rows alone: no row of a test
split comes near. What is generated is generated from a seed. `make specialists` runs all of it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tool_calls import tool_call_rows
from whole_file import write_rows
from word_problems import equations_of, sum_rows, word_problem_rows

from pinnace.eval.suites import read_suite
from pinnace.eval.task_rows import json_lines

Row = Mapping[str, Any]
SCOPE_REPEATS = 4
"""How often a row out of CLINC150's scope is told: there are 200 of them, beside 18,000 of 150 intents."""


def intents(data: Path, draw: random.Random) -> Iterator[Row]:
    """CLINC150: the published train and validation rows, those out of scope among them."""
    for example in read_suite("clinc150", data):
        if example.split == "fit":
            times = 1 if example.task == "clinc150" else SCOPE_REPEATS
            yield from [{"prompt": example.prompt, "answer": example.expected}] * times


def questions(data: Path, draw: random.Random) -> Iterator[Row]:
    """TREC: the published train rows with their six coarse types, as most of the literature has it."""
    for example in read_suite("trec", data):
        if example.split == "fit":
            yield {"prompt": example.prompt, "answer": example.expected}


def numbers(data: Path, draw: random.Random) -> Iterator[Row]:
    """Word problems and sums: GSM8K's published train rows as bare equations, and generated ones.

    SVAMP gives nothing to it, and no sum of the suite `arithmetic` is in it: they measure.
    """
    measured = {example.question for example in read_suite("arithmetic", data)}
    for row in json_lines(data / "gsm8k_train.jsonl"):
        if (answer := equations_of(row.text("answer"))) is not None:
            yield {"prompt": row.text("question"), "answer": answer}
    yield from word_problem_rows(4000, draw)
    yield from (row for row in sum_rows(2000, draw) if row["prompt"] not in measured)


def tool_calls(data: Path, draw: random.Random) -> Iterator[Row]:
    """One call of one function: schemas and requests from a program, none from BFCL."""
    return tool_call_rows(2600, draw)


SPECIALISTS: Mapping[str, Callable[[Path, random.Random], Iterator[Row]]] = {
    "intents": intents,
    "trec": questions,
    "numbers": numbers,
    "tool_calls": tool_calls,
}


def main() -> int:
    """Write the rows of one specialist, whole or not at all, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write what one specialist is trained on.")
    parser.add_argument("name", choices=SPECIALISTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tasks"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)  # noqa: S311
    rows = list(SPECIALISTS[given.name](given.data, draw))
    write_rows(given.out, rows)
    print(f"{given.name}: {len(rows)} rows in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
