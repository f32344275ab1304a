"""Hostile input on every endpoint: each is refused in the envelope, at once, and leaves nothing behind."""

import json
import time
from typing import Any

import httpx
import pytest
from server_fixtures import ASK, house

CHAT, TEXT, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
EMBEDDINGS, FEEDBACK = "/v1/embeddings", "/v1/feedback"
BASES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "auto", "messages": ASK},
    TEXT: {"model": "auto", "prompt": "the capital"},
    RESPONSES: {"model": "auto", "input": "the capital"},
    EMBEDDINGS: {"model": "auto", "input": "the capital"},
    FEEDBACK: {"id": "chatcmpl-x", "score": 1},
}
INVALID = "invalid_request_error"
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**63, 10**400, 1.5, "", "x", "\0", [], [1], [None], [[]], [{}], ["a"] * 5,
    ["x"] * 10_000, {}, {"a": 1}, {"a": float("nan")}, float("nan"), float("inf"), {"type": "function"},
    {"type": 5}, [{"role": "user"}], [{"role": "tool", "content": "x"}], {"1": float("nan")},
]  # fmt: skip
NAMES = [
    "model", "messages", "prompt", "input", "instructions", "stream", "stream_options", "temperature",
    "top_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "stop", "seed",
    "logit_bias", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "tools", "tool_choice",
    "text", "parallel_tool_calls", "response_format", "user", "metadata", "store", "previous_response_id",
    "include", "service_tier", "encoding_format", "dimensions", "id", "score", "rating", "comment",
]  # fmt: skip


def is_json(text: str) -> bool:
    """Whether a strict parser takes it: JSON has no NaN."""
    try:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))
    except ValueError:
        return False
    return True


def check(response: httpx.Response) -> None:
    """An answer, an event stream of whole lines, or an envelope that says what is wrong where."""
    if response.status_code == 200:
        if response.headers["content-type"].startswith("text/event-stream"):
            said = [line.removeprefix("data: ") for line in response.text.split("\n") if line]
            assert all(line.startswith("event: ") or line == "[DONE]" or is_json(line) for line in said)
        else:
            assert is_json(response.text)
        return
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert response.status_code in (400, 404, 413)
    assert error["type"] == INVALID
    assert error["code"] is not None or error["param"] is not None
    assert 0 < len(error["message"]) < 600


@pytest.mark.parametrize("path", BASES)
async def test_a_wrong_value_in_any_field_is_no_bug_and_takes_no_time(path: str) -> None:
    async with house() as place, place.http() as http:
        began = time.perf_counter()
        for name in NAMES:
            for value in VALUES:
                body = json.dumps({**BASES[path], name: value})
                check(await http.post(path, content=body, headers={"content-type": "application/json"}))
        assert time.perf_counter() - began < 30


REFUSED: list[tuple[str, dict[str, Any], str | None, str, str]] = [
    (CHAT, {"stop": ["x"] * 10_000}, "stop", "invalid_value", "stop: expected a string or a list of at most"),
    (TEXT, {"stop": ["x"] * 10_000}, "stop", "invalid_value", "stop: expected a string or a list of at most"),
    (CHAT, {"n": 10**9}, "n", "invalid_value", "n: expected at most 8, got 1000000000"),
    (TEXT, {"n": 10**9}, "n", "invalid_value", "n: expected at most 8, got 1000000000"),
    (CHAT, {"n": 2**70}, "n", "invalid_value", "n: expected at most 8, got 1180591620717411303424"),
    (TEXT, {"prompt": ["x"] * 10_000}, "prompt", "invalid_value", "prompt: expected at most 16, got 10000"),
    (TEXT, {"best_of": 10**9}, "best_of", "unsupported_parameter", "best_of: choosing among more than n"),
    (CHAT, {"messages": ASK * 300}, "messages", "invalid_value", "messages: expected at most 256, got 300"),
    (RESPONSES, {"input": ASK * 300}, "input", "invalid_value", "input: expected at most 256, got 300"),
    (EMBEDDINGS, {"input": ["x"] * 300}, "input", "invalid_value", "input: expected at most 256, got 300"),
    (CHAT, {"max_tokens": 2**40}, "max_tokens", "invalid_value", "max_tokens: expected at most 4096, got"),
    (RESPONSES, {"metadata": {"a": 1}}, "metadata.a", "invalid_value", "metadata.a: expected a valid string"),
    (
        RESPONSES, {"metadata": {"a": float("nan")}}, "metadata.a", "invalid_value",
        "metadata.a: expected a valid string, got nan",
    ),
    (CHAT, {"temperature": float("nan")}, "temperature", "invalid_value", "temperature: expected "),
    (CHAT, {"model": "x" * 10_000}, "model", "invalid_value", "model: expected a length of at most 256"),
    (
        CHAT, {"logit_bias": {str(i): 1 for i in range(400)}}, "logit_bias", "invalid_value",
        "logit_bias: expected at most 300 token ids",
    ),
    (CHAT, {"x" * 5_000: 1}, "x" * 64, "unknown_parameter", "x" * 64 + ": unknown field"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "param", "code", "said"), REFUSED)
async def test_what_is_too_much_is_refused_by_name(
    path: str, fields: dict[str, Any], param: str | None, code: str, said: str
) -> None:
    async with house() as place, place.http() as http:
        body = json.dumps({**BASES[path], **fields})
        response = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert place.backend("small").requests == []
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"], error["code"]) == (400, INVALID, param, code)
    assert str(error["message"]).startswith(said)


@pytest.mark.parametrize("path", BASES)
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"model": "\\ud800"}', "invalid_json", "The body is not valid JSON: "),
        (b'{"model": "\xff"}', "invalid_json", "The body is not valid JSON: "),
        (b'{"model": "\x00"}', "invalid_json", "The body is not valid JSON: "),
        (b"[" * 100_000, "invalid_json", "The body is not valid JSON: "),
        (b'{"a":' * 100_000, "body_too_complex", "The body has more than 10000 JSON members"),
        (b'{"metadata":' + b"[" * 99 + b"]" * 99 + b"}", "body_too_complex", "The body is nested deeper"),
        (b"[]", None, "The body must be a JSON object, got []"),
        (b"", "invalid_json", "The body is not valid JSON: "),
    ],
)  # fmt: skip
async def test_a_hostile_body_is_400_at_once(path: str, body: bytes, code: str | None, said: str) -> None:
    async with house() as place, place.http() as http:
        began = time.perf_counter()
        response = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert time.perf_counter() - began < 1
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"], error["code"]) == (400, INVALID, None, code)
    assert str(error["message"]).startswith(said)


SCHEMAS: list[tuple[Any, str]] = [
    ({"$ref": "#/x", "x": {"$ref": "#/x"}}, "expected every $ref to lead to a value"),
    ({"$ref": "http://169.254.169.254/"}, "expected every $ref to be local"),
    ({"type": "string", "pattern": "(a+)+" * 200}, "expected at most 512 characters in a pattern, got 1000"),
    ({"type": "array", "minItems": 10**9}, "expected at most 4096 minItems, got 1000000000"),
    ({"enum": ["x"] * 2_000}, "expected at most 1000 enum values, got 2000"),
    ({"properties": {f"p{i}": {} for i in range(2_000)}}, "expected at most 1000 properties, got 2000"),
]


@pytest.mark.parametrize(("schema", "said"), SCHEMAS)
@pytest.mark.parametrize("where", ["tools", "response_format", "text"])
async def test_a_hostile_schema_is_400_wherever_it_comes_in(schema: Any, said: str, where: str) -> None:
    inner = {"name": "f", "schema": schema}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    path, field, param = {
        "tools": (CHAT, {"tools": [tool]}, "tools[0].function.parameters"),
        "response_format": (
            CHAT, {"response_format": {"type": "json_schema", "json_schema": inner}}, "response_format",
        ),
        "text": (RESPONSES, {"text": {"format": {"type": "json_schema", **inner}}}, "text.format"),
    }[where]  # fmt: skip
    async with house() as place, place.http() as http:
        response = await http.post(path, json={**BASES[path], **field})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, INVALID, param)
    assert error["code"] == "invalid_value"
    assert str(error["message"]).startswith(f"{param}: {said}")
