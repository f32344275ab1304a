"""Schemas at the door: what is refused, and that the check itself is quick."""

import time
from typing import Any

import pytest

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.json_schema import check_schema, target_of

LIMITS = Limits(schema_bytes=2_000, schema_depth=12, schema_properties=5, schema_enum=4, pattern_chars=20)


def nested(depth: int) -> Any:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def named(count: int) -> dict[str, Any]:
    return {"properties": {f"p{i}": {} for i in range(count)}}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        nested(11),
        named(5),
        {"enum": [1, None, "a", {"$ref": "http://x"}]},
        {"type": ["string", "null"], "pattern": "a" * 20},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"properties": {"next": {"$ref": "#"}}}}},
        {"properties": {"$ref": {"type": "string"}, "enum": {"const": None}}},
        {"$defs": {"node": {"anyOf": [{"type": "null"}, {"items": {"$ref": "#/$defs/node"}}]}}},
        {"items": False, "additionalProperties": True, "x-ours": [1]},
        {"prefixItems": [{"type": "string"}], "items": [{"type": "string"}]},
    ],
)
def test_what_is_a_schema_is_taken(schema: Any) -> None:
    assert check_schema(schema, "response_format", LIMITS) > 0


REFUSED: list[tuple[Any, str]] = [
    (nested(13), "expected at most 12 levels of JSON, got more"),
    ({"description": "x" * 2_000}, "expected at most 2000 bytes of schema, got 2018"),
    (named(6), "expected at most 5 properties, got 6"),
    ({"anyOf": [named(3), named(3)]}, "expected at most 5 properties, got 6"),
    ({"enum": [1, 2, 3, 4, 5]}, "expected at most 4 enum values, got 5"),
    ({"enum": []}, "expected enum to be a list that is not empty, got []"),
    ({"pattern": "a" * 21}, "expected at most 20 characters in a pattern, got 21"),
    ({"pattern": "a\0"}, "expected patterns without NUL characters"),
    ({"patternProperties": {"a" * 21: {}}}, "expected at most 20 characters in a pattern, got 21"),
    ({"type": "strnig"}, "expected type to be one or more of object, array, string, "),
    ({"type": [{}]}, "expected type to be one or more of object, array, string, "),
    ({"properties": []}, "expected properties to be an object, got []"),
    ({"properties": {"a": 3}}, "expected every schema to be an object, got 3"),
    ({"anyOf": {}}, "expected anyOf to be a list that is not empty, got {}"),
    ({"required": "a"}, "expected required to be a list of names, got 'a'"),
    ({"maxLength": -1}, "expected maxLength to be a whole number of at least 0, got -1"),
    ({"maxItems": 1.5}, "expected maxItems to be a whole number of at least 0, got 1.5"),
    ({"minimum": "0"}, "expected minimum to be a number, got '0'"),
    ({"minimum": float("nan")}, "expected numbers that JSON has, got one that is not finite"),
    ({"multipleOf": 0}, "expected multipleOf to be a number above 0, got 0"),
    ({"$ref": "http://169.254.169.254/x"}, "expected every $ref to be local ('#/...'), got 'http:"),
    ({"$ref": "other.json#/a"}, "expected every $ref to be local ('#/...'), got 'other.json#/a'"),
    ({"$ref": 3}, "expected $ref to be a string, got 3"),
    ({"$ref": "#/$defs/none"}, "the $ref '#/$defs/none' points at nothing"),
    ({"$ref": "#/type", "type": "string"}, "the $ref '#/type' points at no schema"),
    ({"$dynamicRef": "#a"}, "$dynamicRef is not supported, only $ref"),
    ({"$ref": "#"}, "expected every $ref to lead to a value, got one that comes back to itself"),
    (
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        "expected every $ref to lead to a value, got one that comes back to itself",
    ),
    (
        {"$ref": "#/x", "x": {"$ref": "#/x"}},
        "expected every $ref to lead to a value, got one that comes back to itself",
    ),
    ({"$ref": "#/x", "x": {"enum": 5}}, "expected enum to be a list that is not empty, got 5"),
    ({"$ref": "#/x/y", "x": {"y": {"anyOf": [3]}}}, "expected every schema to be an object, got 3"),
    ({"type": "array", "minItems": 10**9}, "expected at most 4096 minItems, got 1000000000"),
    ({"type": "object", "minProperties": 5_000}, "expected at most 4096 minProperties, got 5000"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED)
def test_what_is_not_is_refused_by_name(schema: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_schema(schema, "tools[1].function.parameters", LIMITS)
    assert str(refused.value).startswith(f"tools[1].function.parameters: {message}")
    assert (refused.value.param, refused.value.code) == ("tools[1].function.parameters", "invalid_value")


def test_a_long_chain_of_references_is_checked_in_time() -> None:
    chain = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(700)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**chain, "a700": {"type": "string"}}}
    began = time.perf_counter()
    check_schema(schema, "response_format", Limits())
    assert time.perf_counter() - began < 1


def test_pointers_go_through_lists_and_escapes() -> None:
    root = {"anyOf": [{"a": 1}, {"b/c~d": 2}]}
    assert target_of(root, "#/anyOf/1/b~1c~0d") == 2
    with pytest.raises(KeyError):
        target_of(root, "#/anyOf/7")
    with pytest.raises(KeyError):
        target_of(root, "#/anyOf/0/a/b")
