"""Suites: task sets as prompts that a user might type, with how to score the answers.

A suite is a file (`pinnace.eval.suite_file`); those of public sets ship in `suite_files/`. It reads the rows
of its set from a folder given to it; few are in the package. `fit` and `held` keep tests clean: rows of
published train (and validation) files are `fit`, those of a test file are `held`, except where a set has no
train file here, or where only its test rows have recorded outcomes of a large model (GSM8K, ARC-Challenge):
of those the half with an even hash of the question is `fit`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.asking import MOST_SHOTS, Asking, Shot
from pinnace.eval.bfcl_rows import bfcl_rows
from pinnace.eval.example import Example, content_id, half_of, sample, without_duplicates
from pinnace.eval.made_sets import MADE
from pinnace.eval.open_questions import can_stand_alone
from pinnace.eval.rules.choice import LETTERS
from pinnace.eval.rules.words import words
from pinnace.eval.suite_fields import Values
from pinnace.eval.suite_file import Field, Origin, SuiteFile, at, parse_suite
from pinnace.eval.task_rows import Row, json_lines, json_list, json_pairs, plain_lines

OUT_OF_SCOPE = "out_of_scope"
DEFAULTS: Mapping[str, Field] = {"text": at("prompt"), "expected": at("answer")}
UNSOLVABLE = ("calls", "code", "none")
"""Rules whose rows are no solved examples."""
PLAIN = SuiteFile(rule="exact", max_tokens=256, rows=(Origin(name="rows", split="held", file="-"),))
"""What a file of prompts and answers is asked as where nothing else is said."""


@cache
def suite_names() -> tuple[str, ...]:
    """The suites that ship, in alphabetical order."""
    found = files("pinnace.eval").joinpath("suite_files").iterdir()
    return tuple(sorted(each.name.removesuffix(".yaml") for each in found if each.name.endswith(".yaml")))


def read_suite(name: str, folder: Path, *, seed: int = 0) -> tuple[Example, ...]:
    """All examples of one suite, each prompt once.

    :param name: of a suite that ships; or a suite file (.yaml); or a file with a prompt and an answer on each
        line (.jsonl), all of it `held` and compared to the letter.
    :param folder: holds the task files under their published names (`gsm8k_train.jsonl`, ...).
    :param seed: of the draw of solved examples.
    :raises TableError: when there is no such suite, folder or file, or a row is malformed.
    :raises ConfigError: when a suite file is wrong.
    """
    path = Path(name)
    if path.suffix == ".jsonl":
        whole = PLAIN.model_copy(update={"rows": (Origin(name="rows", split="held", file=path.name),)})
        return _read(path.stem, whole, path.parent, seed)
    if path.suffix in (".yaml", ".yml"):
        suite = parse_suite(path)
        beside = all((path.parent / origin.file).exists() for origin in suite.rows)
        return _read(path.stem, suite, path.parent if beside else folder, seed)
    if name not in suite_names():
        raise TableError(
            f"no suite {name!r}; there are: {', '.join(suite_names())}, or a .yaml or .jsonl file"
        )
    if not folder.is_dir():
        raise TableError(f"{folder}: expected a folder of task files, got none")
    return _read(name, shipped_suite(name), folder, seed)


def shipped_suite(name: str) -> SuiteFile:
    """One of the suites that ship, as its file has it."""
    with as_file(files("pinnace.eval").joinpath("suite_files", f"{name}.yaml")) as path:
        return parse_suite(path)


def _read(name: str, suite: SuiteFile, folder: Path, seed: int) -> tuple[Example, ...]:
    answers: dict[str, str] = {}

    def read(origin: Origin) -> Iterator[Example]:
        for values in _values(suite, origin, folder):
            example = _example(name, suite, origin, values)
            if example is None:
                continue
            if suite.rule not in UNSOLVABLE:
                answers[example.id] = values.given(expected=example.expected).filled(suite.shot)
            yield example

    examples = without_duplicates(example for origin in suite.rows for example in read(origin))
    solved = [e for e in examples if e.id in answers and e.split == "fit" and e.task == name]
    pool = tuple(Shot(e.prompt, answers[e.id]) for e in sample(solved, MOST_SHOTS, seed=seed))
    if suite.shots > len(pool):
        raise TableError(f"{name}: shots: expected {suite.shots} training rows, got {len(pool)}")
    rejection = next((e.expected for e in examples if e.task != name), "")
    return tuple(replace(e, asking=replace(e.asking, pool=pool), rejection=rejection) for e in examples)


def _values(suite: SuiteFile, origin: Origin, folder: Path) -> Iterator[Values]:
    fields = {**DEFAULTS, **suite.fields, **origin.fields}
    told = {"labels": ", ".join(suite.labels)}
    for row in _rows(origin, folder):
        if all(low <= _whole(row, key) <= high for key, (low, high) in origin.where.items()):
            yield Values(row, fields, told)


def _rows(origin: Origin, folder: Path) -> Iterator[Row]:
    path = folder / origin.file
    if origin.made is not None:
        return MADE[origin.made]()
    if origin.form == "pairs":
        return json_pairs(path, origin.key)
    if origin.form == "lines":
        return plain_lines(path, origin.encoding)
    if origin.form == "bfcl":
        return bfcl_rows(path, folder / origin.gold if origin.gold else None)
    return json_lines(path) if origin.form == "jsonl" else json_list(path)


def _whole(row: Row, key: str) -> int:
    value = row.fields.get(key)
    if not isinstance(value, int):
        raise row.complaint(key, "a whole number", value)
    return value


def _example(name: str, suite: SuiteFile, origin: Origin, values: Values) -> Example | None:
    """The example of one row; None where it is to be asked openly and cannot be."""
    text, (expected, choices) = values.text("text"), _gold(suite, values)
    if suite.as_open:
        gold = choices[LETTERS.index(expected)]
        if not can_stand_alone(text, gold):
            return None
        expected, choices = gold, ()
    prompt, asking = values.filled(suite.prompt), _asking(name, suite, values)
    told = "" if isinstance(suite.tools, tuple) else json.dumps(asking.tools)
    return Example(
        id=content_id(f"{name}-{origin.name}", prompt + told),
        task=f"{name}/{OUT_OF_SCOPE}" if origin.out_of_scope else name,
        prompt=prompt,
        expected=expected,
        rule=suite.rule,
        choices=choices,
        max_tokens=suite.max_tokens,
        split=half_of(text) if origin.split == "halves" else origin.split,
        question=text,
        asking=asking,
    )


def _gold(suite: SuiteFile, values: Values) -> tuple[str, tuple[str, ...]]:
    """What is expected, and the options or labels."""
    if suite.rule == "none":
        return "", ()
    if suite.code is not None:
        code = suite.code.model_dump()
        return json.dumps({key: values.filled(template) for key, template in code.items()}), ()
    expected = values.text("expected")
    if suite.rule == "choice" or suite.as_open:
        return _letter(values, expected), values.texts("choices")
    if suite.labels and words(expected) not in map(words, suite.labels):
        raise values.complaint("expected", f"one of {len(suite.labels)} labels", expected)
    return expected, suite.labels


def _letter(values: Values, expected: str) -> str:
    """The letter of the gold option, told by a letter, a number from 1, a label of its own, or its text."""
    choices = values.texts("choices")
    names = values.texts("labels_of_choices") if values.has("labels_of_choices") else ()
    letters, numbers = tuple(LETTERS[: len(choices)]), tuple(map(str, range(1, len(choices) + 1)))
    for known in (names,) if names else (letters, numbers, choices):
        if expected in known and len(known) == len(letters):
            return letters[known.index(expected)]
    raise values.complaint("expected", f"one of the {len(choices)} options", expected)


def _asking(name: str, suite: SuiteFile, values: Values) -> Asking:
    return Asking(
        system=values.filled(suite.system),
        intro=values.filled(suite.intro),
        shots=suite.shots,
        tools=tuple(map(_tool, _objects(values.row, suite.tools))),
        tool_choice=suite.tool_choice,
        parallel_tool_calls=suite.parallel_tool_calls,
        response_format=_response_format(name, suite, values.row),
    )


def _objects(row: Row, told: Any) -> list[Mapping[str, Any]]:
    """Objects that stand in the suite, or in a field of the row."""
    found: Any = row.fields.get(told) if isinstance(told, str) else list(told)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in cast(list[Any], found)):
        raise row.complaint(str(told), "a list of objects", cast(object, found))
    return cast(list[Mapping[str, Any]], found)


def _tool(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return function if function.get("type") == "function" else {"type": "function", "function": function}


def _response_format(name: str, suite: SuiteFile, row: Row) -> Mapping[str, Any] | None:
    if suite.json_schema is None:
        return None
    key = suite.json_schema
    schema = row.fields.get(key) if isinstance(key, str) else dict(key)
    if not isinstance(schema, dict):
        raise row.complaint(str(key), "a JSON schema", schema)
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
