"""Values against schemas: the same verdicts as `jsonschema`, and bounded work on hostile ones."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.json_fit import fits

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, 2.5])
    | st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
COUNTS = st.integers(0, 3)
LEAVES = st.booleans() | st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object"])
        | st.just(["string", "null"]),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "pattern": st.sampled_from(["a", "^ab?", "[ab]+$"]),
        "minimum": COUNTS,
        "exclusiveMaximum": COUNTS,
        "multipleOf": st.sampled_from([0.5, 1, 2]),
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "uniqueItems": st.booleans(),
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "required": st.lists(st.sampled_from("abc"), unique=True),
    },
)


def within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["a", "b|c"]), inner, max_size=1),
            "additionalProperties": inner,
            "propertyNames": inner,
            "items": inner,
            "prefixItems": several,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


@given(VALUES, st.recursive(LEAVES, within, max_leaves=8))
def test_verdicts_are_those_of_jsonschema(value: Any, schema: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert fits(value, schema) == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_references_are_followed() -> None:
    tree = {"properties": {"next": {"$ref": "#"}, "name": {"type": "string"}}, "additionalProperties": False}
    assert fits({"next": {"next": {"name": "a"}}}, tree)
    assert not fits({"next": {"next": {"name": 1}}}, tree)


def test_one_is_not_true() -> None:
    assert not fits(True, {"enum": [1]})
    assert not fits([1], {"const": [True]})
    assert fits(1.0, {"const": 1})


def test_a_value_that_is_too_deep_does_not_fit() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    assert not fits(deep, {"items": {"$ref": "#"}})


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a" * 500, {"pattern": "(a+)+$"}),
        ("a" * 500 + "!", {"pattern": "^a*a*a*a*a*$"}),
        (list(range(900)), {"uniqueItems": True}),
        (list(range(900)), {"items": {"anyOf": [{"const": -1}] * 900}}),
        ("a" * 27, {"pattern": "^" + "a?" * 27 + "a" * 28 + "$"}),
        ("a" * 30, {"pattern": "^" + "(?:a|a)" * 27 + "b$"}),
        ("\\" * 999, {"pattern": r"^\\*\\*\\*\\*b$"}),
        ("]" * 999, {"pattern": "^" + r"[\]]*[]]*[^x]*[^\]x]*" + "b$"}),
        (["a" * 999] * 999, {"items": {"pattern": "a*b"}}),
        (["a" * 999] * 99, {"items": {"pattern": "a*(?:" + "|".join("bcdefgh") + ")"}}),
        ({f"n{i}": 0 for i in range(999)}, {"patternProperties": {f"^{i}.*x$": True for i in range(5_000)}}),
        ([0] * 9_999, {"items": {"enum": [f"v{i}" for i in range(999)]}}),
        ([{}] * 9_999, {"items": {"properties": {f"p{i}": True for i in range(999)}}}),
    ],
)
def test_hostile_pairs_take_no_time(value: Any, schema: Any) -> None:
    began = time.perf_counter()
    fits(value, schema)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"^[A-Z]{3}-\d+$", "ABC-12", "ABC12"),
        (r"^\(\d*\)$", "(12)", "12"),
        ("^(?:red|green|blue)$", "green", "grey"),
        ("^[*+?|()]+$", "*+?|()", "a"),
        (r"^https?://\S+$", "https://x", "ftp://x"),
        (r"\\", "\\", "/"),
    ],
)
def test_usual_patterns_are_tried(pattern: str, yes: str, no: str) -> None:
    assert fits(yes, {"pattern": pattern})
    assert not fits(no, {"pattern": pattern})


def test_deep_values_are_judged_whatever_lies_around_them() -> None:
    schema = {"anyOf": [{"allOf": [{"if": {"not": {"items": {"$ref": "#"}}}, "then": False}]}]}
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert fits(deep, schema) in (True, False)


def test_a_tree_that_doubles_at_every_level_takes_no_time() -> None:
    twice = {"properties": {"a": {"$ref": "#"}}, "required": ["b"]}
    schema = {"anyOf": [twice, {**twice, "required": ["c"]}, {"const": {}}]}
    value: Any = {}
    for _ in range(60):
        value = {"a": value}
    began = time.perf_counter()
    fits(value, schema)
    assert time.perf_counter() - began < 0.5
