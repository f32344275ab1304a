"""Validity: JSON and tool calls against what the request asked for."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.completion import Message, Request
from pinnace.models.tool_calls import ToolCall, gather_calls
from pinnace.router.validity import fits, is_valid

ASKED = (Message("user", "Where is it?"),)
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "zip": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA = Request(ASKED, response_format={"type": "json_schema", "json_schema": {"schema": PLACE}})
OBJECT = Request(ASKED, response_format={"type": "json_object"})
CHOICE = Request(ASKED, response_format={"type": "choice", "choices": ["Oslo", "out of scope"]})
TOOLS = Request(ASKED, tools=({"type": "function", "function": {"name": "find", "parameters": PLACE}},))


@pytest.mark.parametrize(
    ("request_", "text", "valid"),
    [
        (Request(ASKED), "Anything at all {", True),
        (Request(ASKED, response_format={"type": "text"}), "{", True),
        (OBJECT, '{"a": 1}', True),
        (OBJECT, "[1]", False),
        (OBJECT, '{"a": 1', False),
        (OBJECT, "[" * 100_000, False),
        (SCHEMA, '{"city": "Oslo", "zip": 150}', True),
        (SCHEMA, '{"city": "Oslo", "zip": "150"}', False),
        (SCHEMA, '{"zip": 150}', False),
        (SCHEMA, '{"city": "Oslo", "land": "Norway"}', False),
        (SCHEMA, "It is in Oslo.", False),
        (CHOICE, "Oslo", True),
        (CHOICE, " out of scope\n", True),
        (CHOICE, "It is in Oslo.", False),
        (CHOICE, '"Oslo"', False),
        (CHOICE, "", False),
        (TOOLS, "It is in Oslo.", True),
        (Request(ASKED, tools=TOOLS.tools, tool_choice="required"), "It is in Oslo.", False),
    ],
)
def test_text_against_its_format(request_: Request, text: str, valid: bool) -> None:
    assert is_valid(text, (), request_) is valid


@pytest.mark.parametrize(
    ("call", "valid"),
    [
        (ToolCall("find", '{"city": "Oslo"}'), True),
        (ToolCall("find", ""), False),
        (ToolCall("find", '"Oslo"'), False),
        (ToolCall("find", '{"city": 3}'), False),
        (ToolCall("lose", '{"city": "Oslo"}'), False),
    ],
)
def test_calls_against_the_tools(call: ToolCall, valid: bool) -> None:
    assert is_valid("", (call,), TOOLS) is valid


def test_one_bad_call_spoils_the_answer() -> None:
    good = ToolCall("find", '{"city": "Oslo"}')
    assert not is_valid("", (good, ToolCall("find", "{")), TOOLS)


def test_calls_are_those_that_were_asked_for() -> None:
    good = ToolCall("find", '{"city": "Oslo"}')
    one = replace(TOOLS, parallel_tool_calls=False)
    assert is_valid("", (good,), one)
    assert not is_valid("", (good, good), one)
    assert not is_valid("", (good,), replace(TOOLS, tool_choice="none"))
    other = {"type": "function", "function": {"name": "lose"}}
    named = replace(TOOLS, tools=(*TOOLS.tools, other), tool_choice=other)
    assert not is_valid("", (good,), named)
    assert is_valid("", (ToolCall("lose", "{}"),), named)
    assert not is_valid("It is in Oslo.", (), named)


def test_a_tool_without_parameters_takes_no_arguments_text() -> None:
    bare = Request(ASKED, tools=({"type": "function", "function": {"name": "now"}},))
    assert is_valid("", (ToolCall("now", ""),), bare)


def test_calls_are_put_together_from_their_pieces() -> None:
    pieces: list[dict[str, Any]] = [
        {"index": 1, "function": {"name": "b", "arguments": "{"}},
        {"index": 0, "id": "x", "function": {"name": "a"}},
        {"index": 1, "function": {"arguments": "}"}},
    ]
    assert gather_calls(pieces) == (ToolCall("a", ""), ToolCall("b", "{}"))
    assert gather_calls(()) == ()


@pytest.mark.parametrize(
    ("value", "schema", "fitting"),
    [
        (3, {"type": "number"}, True),
        (3.0, {"type": "integer"}, True),
        (3.5, {"type": "integer"}, False),
        (True, {"type": "integer"}, False),
        (None, {"type": ["string", "null"]}, True),
        ("b", {"enum": ["a", "b"]}, True),
        ("c", {"enum": ["a", "b"]}, False),
        (1, {"const": 2}, False),
        ([1, "x"], {"items": {"type": "integer"}}, False),
        ([1, 2], {"type": "array", "items": {"type": "integer"}}, True),
        (1, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, True),
        (None, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ("x", {"minLength": 9}, False),
        ("x", {"format": "email"}, True),
        ("x", {"type": "of-the-future"}, True),
        ("x", True, True),
        ("x", False, False),
    ],
)
def test_values_against_schemas(value: Any, schema: Any, fitting: bool) -> None:
    assert fits(value, schema) is fitting


@given(st.text())
def test_whatever_is_written_it_is_valid_or_not(text: str) -> None:
    assert is_valid(text, (), SCHEMA) in (True, False)
