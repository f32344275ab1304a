"""Tools, schemas and earlier calls, in the words that a local model reads."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pinnace.models.completion import Message, Request
from pinnace.models.tool_turns import answer_schema, must_call, offered_tools, spoken_messages

ADD = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
NOW = {"name": "now"}
TOOLS = tuple({"type": "function", "function": function} for function in (ADD, NOW))
CHOICE = {"type": "function", "function": {"name": "now"}}
PLAIN = Request((Message("user", "hi"),))
ASKED = replace(PLAIN, tools=TOOLS)
SCHEMA = {"type": "object", "properties": {"größe": {"type": "number"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


def system_of(request: Request, system: str | None = None) -> str:
    first = spoken_messages(request, system)[0]
    assert first.role == "system"
    return first.content


@pytest.mark.parametrize(
    ("choice", "offered", "must"),
    [
        (None, (ADD, NOW), False),
        ("auto", (ADD, NOW), False),
        ("none", (), False),
        ("required", (ADD, NOW), True),
        (CHOICE, (NOW,), True),
    ],
)
def test_the_choice_says_what_is_offered(choice: Any, offered: Any, must: bool) -> None:
    request = replace(ASKED, tool_choice=choice)
    assert offered_tools(request) == offered
    assert must_call(request) is must


def test_a_plain_request_is_said_as_it_is() -> None:
    assert list(spoken_messages(PLAIN, "Be kind.")) == list(PLAIN.messages)
    assert list(spoken_messages(replace(ASKED, tool_choice="none"), "Be kind.")) == list(PLAIN.messages)


def test_the_tools_stand_in_the_system_turn_behind_what_it_says() -> None:
    told = system_of(ASKED, "Be kind.")
    assert told.startswith("Be kind.\n\n# Tools\n")
    assert json.dumps(ADD) in told
    assert '<tool_call>\n{"name": "<function-name>", "arguments": <args-json-object>}\n</tool_call>' in told
    assert "else answer directly" in told
    own = replace(ASKED, messages=(Message("developer", "Be brief."), *PLAIN.messages))
    spoken = spoken_messages(own, "Be kind.")
    assert len(spoken) == 2
    assert spoken[0].content.startswith("Be brief.\n\n# Tools\n")


def test_a_late_system_turn_keeps_ours_away_but_not_the_tools() -> None:
    late = replace(ASKED, messages=(*PLAIN.messages, Message("system", "Be brief.")))
    assert system_of(late, "Be kind.").startswith("# Tools\n")


def test_a_named_function_is_the_only_one_that_is_told() -> None:
    told = system_of(replace(ASKED, tool_choice=CHOICE, response_format=FORMAT))
    assert "Call a function now." in told
    assert "add" not in told
    assert "größe" not in told


def test_the_schema_is_told_beside_the_tools() -> None:
    told = system_of(replace(ASKED, response_format=FORMAT))
    assert "# Tools" in told
    assert told.endswith(
        f"Answer with JSON of this schema and nothing else:\n{json.dumps(SCHEMA, ensure_ascii=False)}"
    )
    assert answer_schema(replace(PLAIN, response_format={"type": "json_object"})) == {"type": "object"}
    assert system_of(replace(PLAIN, response_format={"type": "json_object"})) == (
        "Answer with one JSON object and nothing else."
    )


def test_calls_and_results_become_text() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    bare = {"id": "d", "type": "function", "function": {"name": "now", "arguments": ""}}
    turns = (
        Message("assistant", "Let me see.", {"tool_calls": [call, bare]}),
        Message("tool", "3", {"tool_call_id": "c"}),
    )
    assistant, tool = spoken_messages(replace(PLAIN, messages=turns), None)
    assert assistant.content == (
        'Let me see.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    )
    assert (tool.role, tool.content) == ("user", "<tool_response>\n3\n</tool_response>")
