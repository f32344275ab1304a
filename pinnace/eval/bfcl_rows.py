"""Rows of the Berkeley function-calling leaderboard (BFCL v4): its JSON lines, and those of possible answers.

BFCL's own type names become those of JSON schema, and dots in function names underscores, as BFCL itself has
it for models behind OpenAI's wire. Knows nothing of how calls are compared (`pinnace.eval.rules.calls`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.rules.calls import TYPES
from pinnace.eval.task_rows import Row, json_lines

KINDS: Mapping[str, str] = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
KEPT = ("description", "enum")


def bfcl_rows(path: Path, gold: Path | None) -> Iterator[Row]:
    """Each row as `text`, `tools` (functions as JSON schema has them) and `answer` (as `by_calls` takes it).

    :param gold: the file of possible answers; without one (irrelevance), nothing is to be called.
    """
    answers = {row.text("id"): row.fields.get("ground_truth") for row in json_lines(gold)} if gold else {}
    for row in json_lines(path):
        name = row.text("id")
        if gold is not None and not isinstance(answers.get(name), list):
            raise TableError(f"{gold}: expected a list of calls for {name!r}, got {answers.get(name)!r}")
        try:
            yield Row(row.where, _fields(row.fields, answers.get(name) or []))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise TableError(
                f"{row.where}: expected a question and functions of BFCL, got {error!r}"
            ) from None


def _fields(row: Mapping[str, Any], answers: Any) -> dict[str, Any]:
    functions: list[Mapping[str, Any]] = row["function"]
    gold = {
        "functions": {_name(each["name"]): _checked(each["parameters"]) for each in functions},
        "calls": [{_name(name): values for name, values in each.items()} for each in answers],
    }
    tools = [
        {
            "name": _name(each["name"]),
            "description": each["description"],
            "parameters": json_schema_of(each["parameters"]),
        }
        for each in functions
    ]
    return {"text": row["question"][0][-1]["content"], "tools": tools, "answer": json.dumps(gold)}


def _name(name: str) -> str:
    return name.replace(".", "_")


def _checked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What of a function a call is compared with."""
    properties: Mapping[str, Mapping[str, Any]] = parameters["properties"]
    for name, each in properties.items():
        if each["type"] not in TYPES:
            raise TypeError(f"{name}: no type of BFCL: {each['type']!r}")
    return {
        "required": list(parameters.get("required", ())),
        "types": {
            name: [each["type"], each["items"]["type"] if each["type"] in ("array", "tuple") else None]
            for name, each in properties.items()
        },
    }


def json_schema_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's description in BFCL's words as a JSON schema."""
    kind = schema.get("type")
    found: dict[str, Any] = {"type": KINDS.get(str(kind), kind)} if kind else {}
    found |= {key: schema[key] for key in KEPT if key in schema}
    if "items" in schema:
        found["items"] = json_schema_of(schema["items"])
    properties = cast(Mapping[str, Mapping[str, Any]], schema.get("properties") or {})
    if properties:
        found["properties"] = {name: json_schema_of(each) for name, each in properties.items()}
        found["required"] = [name for name in schema.get("required", ()) if name in properties]
    return found
