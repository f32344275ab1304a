"""BFCL's files: its types as JSON schema, its names, its gold answers; and that gold calls pass its rule."""

import json
from pathlib import Path

import pytest

from pinnace.errors import TableError
from pinnace.eval.bfcl_rows import bfcl_rows
from pinnace.eval.scoring import score
from pinnace.eval.suites import read_suite
from pinnace.models.json_fit import fits

TASKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "tasks"
ROW = {
    "id": "simple_0",
    "question": [[{"role": "user", "content": "Area of a 3 by 4 triangle?"}]],
    "function": [
        {
            "name": "math.area",
            "description": "The area.",
            "parameters": {
                "type": "dict",
                "properties": {
                    "base": {"type": "float", "description": "Base.", "default": 1.0},
                    "sides": {"type": "tuple", "items": {"type": "integer"}},
                    "how": {"type": "dict", "properties": {"unit": {"type": "any"}}, "required": ["unit"]},
                },
                "required": ["base"],
            },
        }
    ],
}
GOLD = {"id": "simple_0", "ground_truth": [{"math.area": {"base": [3], "sides": [[3, 4], ""]}}]}


def write(folder, row=ROW, gold=GOLD):
    for name, value in (("rows.json", row), ("gold.json", gold)):
        (folder / name).write_text(json.dumps(value) + "\n", encoding="utf-8")
    return folder / "rows.json", folder / "gold.json"


def test_types_become_those_of_json_schema_and_dots_underscores(tmp_path):
    (row,) = bfcl_rows(*write(tmp_path))
    (tool,) = row.fields["tools"]
    assert row.fields["text"] == "Area of a 3 by 4 triangle?"
    assert (tool["name"], tool["description"]) == ("math_area", "The area.")
    assert tool["parameters"] == {
        "type": "object",
        "properties": {
            "base": {"type": "number", "description": "Base."},
            "sides": {"type": "array", "items": {"type": "integer"}},
            "how": {"type": "object", "properties": {"unit": {"type": "string"}}, "required": ["unit"]},
        },
        "required": ["base"],
    }
    assert json.loads(row.fields["answer"]) == {
        "functions": {
            "math_area": {
                "required": ["base"],
                "types": {"base": ["float", None], "sides": ["tuple", "integer"], "how": ["dict", None]},
            }
        },
        "calls": [{"math_area": {"base": [3], "sides": [[3, 4], ""]}}],
    }


def test_without_possible_answers_nothing_is_to_be_called(tmp_path):
    (row,) = bfcl_rows(write(tmp_path)[0], None)
    assert json.loads(row.fields["answer"])["calls"] == []


def test_a_row_that_is_none_of_bfcl_is_named(tmp_path):
    with pytest.raises(TableError, match=r"rows\.json: row 1: expected a question and functions of BFCL"):
        list(bfcl_rows(*write(tmp_path, row=ROW | {"question": []})))
    with pytest.raises(TableError, match=r"gold\.json: expected a list of calls for 'simple_0', got None"):
        list(bfcl_rows(*write(tmp_path, gold=GOLD | {"id": "simple_1"})))


def gold_calls(expected):
    """The calls that the first right values make, what may be left out left out; dictionaries of right values
    are opened."""
    gold = json.loads(expected)

    def first(values):
        value = next(value for value in values if value != "")
        if isinstance(value, dict):
            return {key: first(each) for key, each in value.items() if "" not in each}
        if isinstance(value, list):
            return [first([each]) if isinstance(each, dict) else each for each in value]
        return value

    def call(name, values):
        required = gold["functions"][name]["required"]
        chosen = {key: first(each) for key, each in values.items() if "" not in each or key in required}
        return {"name": name, "arguments": chosen}

    return [call(name, values) for each in gold["calls"] for name, values in each.items()]


@pytest.mark.skipif(not TASKS.is_dir(), reason="the development data is not beside this checkout")
@pytest.mark.parametrize("name", ["bfcl_simple", "bfcl_multiple", "bfcl_parallel", "bfcl_irrelevance"])
def test_gold_calls_of_the_published_files_are_right_and_fit_the_tools(name):
    examples = read_suite(name, TASKS)
    wrong, unfit = [], []
    for e in examples:
        calls = gold_calls(e.expected)
        schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in e.asking.tools}
        if score("calls", json.dumps(calls) if calls else "No function fits.", e.expected) != 1.0:
            wrong.append(e.id)
        if not all(fits(call["arguments"], schemas[call["name"]]) for call in calls):
            unfit.append(e.id)
    assert (wrong, unfit) == ([], [])


@pytest.mark.skipif(not TASKS.is_dir(), reason="the development data is not beside this checkout")
def test_published_solutions_pass_the_published_tests():
    solved = [json.loads(line) for line in (TASKS / "humaneval.jsonl").read_text().splitlines()[:4]]
    asked = {e.question: e for e in read_suite("humaneval", TASKS)}
    for row in solved:
        e = asked[row["prompt"].strip()]
        assert score("code", row["canonical_solution"], e.expected) == 1.0
        assert score("code", "    return None", e.expected) == 0.0
    rows = [json.loads(line) for line in (TASKS / "mbpp.jsonl").read_text().splitlines()]
    known = {e.question: e for e in read_suite("mbpp", TASKS)}
    for row in rows[10:14]:
        assert score("code", f"```python\n{row['code']}\n```", known[row["text"].strip()].expected) == 1.0
