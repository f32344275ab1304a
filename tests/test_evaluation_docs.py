"""docs/evaluation.md: its suite runs, and its tables list what there is and nothing else."""

import json
import re
from pathlib import Path
from typing import get_args

from printed_keys import is_meant, printed, spelled
from test_matrix import table

from pinnace.eval.matrix import matrix_of
from pinnace.eval.scoring import RuleName
from pinnace.eval.suite_file import SuiteFile
from pinnace.eval.suites import read_suite

DOCS = (Path(__file__).resolve().parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")
INTERNAL = {"as_open", "tool_choice", "parallel_tool_calls"}
"""Keys that a row of the table has beside another, or that one set alone needs."""


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    return found


def first_cells(head):
    """The names in the first column of the table that begins with `head`."""
    rows = DOCS.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_the_suite_in_the_docs_runs(tmp_path):
    row = json.loads(block("json"))
    rows = [
        row | {"number": n, "team": {"name": "BD"[n % 2]}, "message": f"Message {n}"} for n in range(1, 7)
    ]
    (tmp_path / "messages.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    path = tmp_path / "teams.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    examples = read_suite(str(path), tmp_path)
    assert [(e.split, e.expected) for e in examples] == [
        ("fit", "delivery"), ("fit", "billing"), ("fit", "delivery"), ("fit", "billing"),
        ("held", "delivery"), ("held", "billing"),
    ]  # fmt: skip
    assert examples[0].prompt.startswith('"Message 1"\nWhich team')
    assert examples[0].asking.intro == "Name the team of a message: billing, delivery."
    assert len(examples[0].asking.pool) == 4


def test_every_key_and_rule_is_described():
    assert set(first_cells("key | meaning | default")) == set(SuiteFile.model_fields) - INTERNAL
    assert all(f"`{key}`" in DOCS for key in INTERNAL - {"as_open"})
    assert set(first_cells("rule | right when")) == set(get_args(RuleName))


def test_every_printed_key_is_described():
    text = DOCS.partition("### `pinnace eval matrix --json`")[2]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [each for cell in cells for key in re.findall(r"`([^`]+)`", cell) for each in spelled(key)]
    keys = [tuple(each.split(".")) for each in named]
    ways = [way for way, _ in printed(matrix_of(table(), draws=100))]
    assert [way for way in ways if not any(is_meant(way, key) for key in keys)] == []
    assert [key for key in keys if not any(is_meant(way, key) for way in ways)] == []
