"""Narrowed schemas: only values of the schema they came from, and not too many characters of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.json_fit import fits
from pinnace.models.schema_bounds import CHARACTERS_PER_TOKEN, LARGEST_INTEGER, bare, bounded

KINDS = st.sampled_from(["string", "number", "integer", "boolean", "array", "object"])
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"type": KINDS, "minLength": st.integers(0, 9), "maxItems": st.integers(0, 9)}
    ),
    lambda inner: (
        st.fixed_dictionaries(
            {"properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3)},
            optional={"required": st.lists(st.sampled_from("abcd"), unique=True), "items": inner},
        )
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"items": inner})
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)


@given(SCHEMAS, VALUES, st.integers(1, 500))
def test_what_fits_the_narrowed_schema_fits_its_own(schema: Any, value: Any, max_tokens: int) -> None:
    if fits(value, bounded(schema, max_tokens)):
        assert fits(value, schema)


@given(SCHEMAS, VALUES)
def test_a_bare_schema_says_the_same(schema: Any, value: Any) -> None:
    titled = {"title": "t", "description": "d", "default": 1, "$id": "http://x", "x-guidance": {}, **schema}
    assert bare(titled) == bare(schema)
    assert fits(value, bare(titled)) == fits(value, schema)


def test_a_property_may_be_called_title() -> None:
    schema = {"properties": {"title": {"type": "string", "title": "gone"}}}
    assert bare(schema) == {"properties": {"title": {"type": "string"}}}


def longest(schema: Any) -> int:
    """Characters in the longest value of a narrowed schema without choices."""
    kind = schema["type"]
    if kind == "object":
        return sum(len(name) + 6 + longest(part) for name, part in schema["properties"].items())
    if kind == "array":
        return schema["maxItems"] * (longest(schema["items"]) + 4)
    return schema["maxLength"] if kind == "string" else 10


def test_the_room_is_shared_out_among_the_strings() -> None:
    text = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {"a": text, "b": {"type": "array", "items": text}, "n": {"type": "integer"}},
    }
    for max_tokens in (64, 256, 1024):
        narrow = bounded(schema, max_tokens)
        assert 0.5 < longest(narrow) / (max_tokens * CHARACTERS_PER_TOKEN) < 1.2
    assert narrow["additionalProperties"] is False
    assert narrow["properties"]["n"] == {
        "type": "integer",
        "minimum": -LARGEST_INTEGER,
        "maximum": LARGEST_INTEGER,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "enum": ["a" * 900]},
        {"const": {"a": [1, 2, 3]}},
        {"type": "string", "pattern": "a*"},
        {"type": "string", "format": "date"},
        {"type": "string", "maxLength": 3},
        {"type": "integer", "minimum": 3},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}},
        {"type": "array", "items": {"type": "null"}, "minItems": 90, "maxItems": 90},
        False,
    ],
)
def test_what_has_its_own_bounds_keeps_them(schema: Any) -> None:
    assert bounded(schema, 10) == schema


def test_a_list_of_numbers_has_room_for_as_many_as_fit() -> None:
    """Numbers are short: two lists of them in 256 tokens are not cut off at three numbers each."""
    for kind in ("integer", "number", "boolean"):
        lists = {"type": "array", "items": {"type": kind}}
        narrow = bounded({"type": "object", "properties": {"a": lists, "b": lists}}, 256)
        assert narrow["properties"]["a"]["maxItems"] >= 20
        assert longest(narrow) < 1.4 * 256 * CHARACTERS_PER_TOKEN


RECORD = {
    "type": "object",
    "properties": {name: {"type": "number"} for name in ("x", "y", "width", "height")},
}


@pytest.mark.parametrize("items", [RECORD, {"enum": ["a" * 120]}, {"anyOf": [{"type": "null"}, RECORD]}])
def test_a_list_of_what_says_nothing_of_its_own_is_bounded_by_its_size(items: dict[str, Any]) -> None:
    narrow = bounded({"type": "array", "items": items}, 256)
    record = narrow["items"].get("anyOf", [narrow["items"]])[-1]
    size = 122 if "enum" in record else longest(record)
    assert 0.5 < narrow["maxItems"] * size / (256 * CHARACTERS_PER_TOKEN) < 1.2


def test_several_short_texts_go_before_few_long_ones() -> None:
    texts = {"type": "array", "items": {"type": "string"}}
    narrow = bounded({"type": "object", "properties": {"a": texts, "b": texts, "c": texts}}, 256)
    assert narrow["properties"]["a"]["maxItems"] >= 6
    assert narrow["properties"]["a"]["items"]["maxLength"] >= 20
    assert bounded(texts, 1024)["items"]["maxLength"] >= 60


def test_intersected_objects_are_left_open() -> None:
    part = {"type": "object", "properties": {"a": {"type": "boolean"}}}
    assert "additionalProperties" not in bounded({"allOf": [part, part]}, 10)["allOf"][0]
    assert bounded(part, 10)["additionalProperties"] is False


def test_a_required_name_without_a_schema_gets_one() -> None:
    assert "a" in bounded({"type": "object", "required": ["a"]}, 10)["properties"]
    assert (
        bounded({"type": "object", "required": ["a"], "additionalProperties": False}, 10).get("properties")
        is None
    )
