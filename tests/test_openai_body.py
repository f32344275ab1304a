"""What a remote server is sent of a request's tools and biases."""

import json
from dataclasses import replace
from typing import Any

from pinnace.config import OpenAIMember
from pinnace.models.completion import Message, Request
from pinnace.models.openai_body import body_of

MEMBER = OpenAIMember(name="large", backend="openai", base_url="http://127.0.0.1/v1", model="gpt")
PLAIN = Request((Message("user", "hi"),))
TOOLS = ({"type": "function", "function": {"name": "now"}},)


def sent(request: Request) -> dict[str, Any]:
    return json.loads(body_of(MEMBER, request, "max_tokens"))


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert not {"tools", "parallel_tool_calls", "logit_bias", "response_format"} & sent(PLAIN).keys()
    assert "parallel_tool_calls" not in sent(replace(PLAIN, tools=TOOLS))
    assert "parallel_tool_calls" not in sent(replace(PLAIN, parallel_tool_calls=False))


def test_biases_and_single_calls_are_passed_on() -> None:
    found = sent(replace(PLAIN, tools=TOOLS, parallel_tool_calls=False, logit_bias={42: -100.0}))
    assert found["parallel_tool_calls"] is False
    assert found["logit_bias"] == {"42": -100.0}


def test_a_choice_is_not_sent_since_others_do_not_know_it() -> None:
    assert "response_format" not in sent(
        replace(PLAIN, response_format={"type": "choice", "choices": ["a", "b"]})
    )
    asked = {"type": "json_object"}
    assert sent(replace(PLAIN, response_format=asked))["response_format"] == asked
