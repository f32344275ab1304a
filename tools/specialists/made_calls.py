"""Writes the rows of the suite `made_calls.yaml`: requests for a call, with what is right as BFCL has it.

    python tools/specialists/made_calls.py tool_calls.seed-0.jsonl tool_calls.seed-1.jsonl -o made_calls.jsonl

From another seed than the specialist's rows have (0 to 3), and without any request that is among those.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tool_calls import NOT_OFFERED, tool_call_rows
from whole_file import write_rows

from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING

BFCL_TYPES = {"number": "float", "object": "dict"}


def graded_rows(count: int, draw: random.Random, learnt: frozenset[str]) -> Iterator[dict[str, Any]]:
    """At most `count` rows whose prompts are not in `learnt`; in `answer` the gold call."""
    for row in tool_call_rows(count, draw):
        if row["answer"] != NOT_OFFERED and row["prompt"] not in learnt:
            functions = [tool["function"] for tool in row["tools"]]
            yield {
                "prompt": row["prompt"],
                "tools": functions,
                "answer": json.dumps(_gold(row["answer"], functions)),
            }


def _gold(answer: str, functions: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What `pinnace.eval.rules.calls` compares with: of each argument that is named, the one right value."""
    name, _, rest = answer.removeprefix(OPENING).partition(AFTER_NAME)
    arguments: dict[str, Any] = json.loads(rest.removesuffix(CLOSING))
    return {
        "functions": {each["name"]: _compared(each["parameters"]) for each in functions},
        "calls": [{name: {key: [value] for key, value in arguments.items()}}],
    }


def _compared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: each["type"] for name, each in parameters["properties"].items()}
    items = {name: each.get("items", {}).get("type") for name, each in parameters["properties"].items()}
    types = {
        name: [BFCL_TYPES.get(kind, kind), BFCL_TYPES.get(items[name], items[name])]
        for name, kind in kinds.items()
    }
    return {"required": list(parameters["required"]), "types": types}


def main() -> int:
    """Write the rows, whole or not at all, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the rows of made_calls.yaml.")
    parser.add_argument("learnt", type=Path, nargs="+", help="what the specialist was trained on")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    lines = [line for path in given.learnt for line in path.read_text("utf-8").splitlines()]
    learnt = frozenset(json.loads(line)["prompt"] for line in lines)
    draw = random.Random(given.seed)  # noqa: S311
    rows = list(graded_rows(given.rows, draw, learnt))
    write_rows(given.out, rows)
    print(f"made_calls: {len(rows)} rows in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
