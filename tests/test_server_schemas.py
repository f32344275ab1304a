"""Schemas over the wire: refused at the door with the field's name, passed on where they are fine."""

import json
from typing import Any

import pytest

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.completion import Request
from pinnace.server.wire import parse_chat

LIMITS = Limits(schema_bytes=400, pattern_chars=16)


def request_of(**fields: Any) -> Request:
    ask = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    return parse_chat(json.dumps({**ask, **fields}).encode()).to_request(LIMITS, "id")


def tool(parameters: Any, name: str = "add") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def response_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"tools": [tool({}), tool({"type": "strnig"})]},
        "tools[1].function.parameters",
        "expected type to be one",
    ),
    (
        {"tools": [tool({"type": "array"})]},
        "tools[0].function.parameters",
        "expected the type 'object', got 'array'",
    ),
    (
        {"response_format": response_format({"$ref": "http://x"})},
        "response_format",
        "expected every $ref to be local",
    ),
    (
        {"response_format": response_format({"pattern": "a" * 17})},
        "response_format",
        "expected at most 16 characters",
    ),
    (
        {"response_format": response_format({"description": "x" * 400})},
        "response_format",
        "expected at most 400 bytes of schema, got 418",
    ),
    (
        {"tools": [tool({"description": "x" * 300}), tool({"description": "x" * 300}, "sub")]},
        "tools",
        "expected at most 400 bytes of schemas in all, got 636",
    ),
]


@pytest.mark.parametrize(("fields", "param", "message"), REFUSED)
def test_a_bad_schema_is_refused_by_its_field(fields: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        request_of(**fields)
    assert str(refused.value).startswith(f"{param}: {message}")
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")


def test_what_is_fine_reaches_the_request() -> None:
    schema = {"type": "object", "properties": {"a": {"const": None}}}
    request = request_of(
        tools=[tool(schema)],
        response_format=response_format(schema),
        parallel_tool_calls=False,
        logit_bias={"42": -100, "7": 0.5},
    )
    assert request.tools[0]["function"]["parameters"] == schema
    assert request.response_format is not None
    assert request.response_format["json_schema"]["schema"] == schema
    assert request.parallel_tool_calls is False
    assert request.logit_bias == {42: -100.0, 7: 0.5}


def test_calls_are_parallel_where_nobody_says_otherwise() -> None:
    assert request_of().parallel_tool_calls is True
    assert request_of(parallel_tool_calls=None).parallel_tool_calls is True


def test_three_hundred_biases_are_taken_and_one_more_is_not() -> None:
    assert len(request_of(logit_bias={str(i): 1 for i in range(300)}).logit_bias) == 300
    with pytest.raises(RequestError, match="expected at most 300 token ids") as refused:
        request_of(logit_bias={str(i): 1 for i in range(301)})
    assert refused.value.param == "logit_bias"
