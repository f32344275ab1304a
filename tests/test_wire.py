"""The request body: what is taken, and what is refused, each with the field, the reason and the code."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.completion import Message, Request, is_begun
from pinnace.server.wire import ChatRequest, parse_chat

ASK = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "add"}}
LIMITS = Limits(messages=3, max_tokens=100, default_max_tokens=50, n=2)


def parse(**fields: Any) -> ChatRequest:
    return parse_chat(json.dumps({**ASK, **fields}).encode())


def request_of(**fields: Any) -> Request:
    return parse(**fields).to_request(LIMITS, "id")


def turn(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi", **fields}]}


def test_the_least_request_takes_every_default() -> None:
    assert request_of() == Request(messages=(Message("user", "hi"),), id="id", max_tokens=50)


def test_null_means_left_out() -> None:
    optional = {name: None for name in ChatRequest.model_fields if name not in ("model", "messages")}
    assert request_of(**optional) == request_of()


def test_text_parts_are_joined_line_by_line() -> None:
    request = request_of(**turn(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))
    assert request.messages[0].content == "a\nb"


def test_every_role_is_taken() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "be brief", "name": "me"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ]
    assert request_of(messages=messages).messages == (
        Message("developer", "be brief", {"name": "me"}),
        Message("assistant", "", {"tool_calls": [call]}),
        Message("tool", "3", {"tool_call_id": "c1"}),
    )


def test_a_stop_string_alone_is_one_of_four() -> None:
    assert request_of(stop="END").stop == ("END",)
    assert request_of(stop=["a", "b", "c", "d"]).stop == ("a", "b", "c", "d")


def test_log_probabilities_without_a_number_are_the_chosen_ones() -> None:
    assert request_of(logprobs=True).top_logprobs == 0
    assert request_of(logprobs=True, top_logprobs=20).top_logprobs == 20
    assert request_of(logprobs=False).top_logprobs is None


@pytest.mark.parametrize("accept", [0, 0.5, 1, None])
def test_a_bar_of_its_own_is_taken(accept: float | None) -> None:
    assert request_of(accept=accept).accept == accept


def test_both_names_of_max_tokens_are_taken() -> None:
    assert request_of(max_tokens=7).max_tokens == 7
    assert request_of(max_completion_tokens=8).max_tokens == 8
    assert request_of(max_completion_tokens=8, max_tokens=8).max_tokens == 8


def test_the_default_answer_length_is_never_over_the_limit() -> None:
    limits = Limits(max_tokens=10, default_max_tokens=50)
    assert parse().to_request(limits, "id").max_tokens == 10


def test_plain_text_is_no_format() -> None:
    assert request_of(response_format={"type": "text"}).response_format is None
    assert request_of(response_format={"type": "json_object"}).response_format == {"type": "json_object"}


def test_a_choice_has_its_texts() -> None:
    asked = {"type": "choice", "choices": ["a", "out of scope"]}
    assert request_of(response_format=asked).response_format == asked


def test_tool_choice_takes_words_and_one_function() -> None:
    assert request_of(tool_choice="none").tool_choice == "none"
    assert request_of(tools=[TOOL], tool_choice="required").tool_choice == "required"
    assert request_of(tools=[TOOL], tool_choice=TOOL).tool_choice == TOOL


def test_an_answer_may_have_begun() -> None:
    begun = {"role": "assistant", "content": "One,", "prefix": True}
    assert is_begun(request_of(messages=[{"role": "user", "content": "Count."}, begun]).messages)
    assert not is_begun(request_of(messages=[{"role": "user", "content": "Count."}]).messages)


BEGUN = {"role": "assistant", "content": "One,", "prefix": True}


# What is refused: fields, then the param, the code and the message.
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"temprature": 1}, "temprature", "unknown_parameter", "unknown field; did you mean 'temperature'?"),
    ({"zzz": 1}, "zzz", "unknown_parameter", "unknown field"),
    (
        turn(contents="x"),
        "messages[0].contents",
        "unknown_parameter",
        "unknown field; did you mean 'content'?",
    ),
    (
        {"messages": [BEGUN, {"role": "user", "content": "x"}]},
        "messages[0].prefix",
        "invalid_value",
        "only the last message can be the answer's prefix",
    ),
    (
        {"messages": [BEGUN], "tools": [TOOL]},
        "messages[0].prefix",
        "invalid_value",
        "does not go with tools or a response_format",
    ),
    (
        {"messages": [BEGUN], "response_format": {"type": "json_object"}},
        "messages[0].prefix",
        "invalid_value",
        "does not go with tools or a response_format",
    ),
    (
        {"logit_bias": {"the": 2}},
        "logit_bias",
        "invalid_value",
        "expected every key to be a token id such as '42', got {'the': 2}",
    ),
    (
        {"logit_bias": {"1": 101}},
        "logit_bias",
        "invalid_value",
        "expected every bias to be a number from -100 to 100, got {'1': 101}",
    ),
    (
        {"logit_bias": {"1": True}},
        "logit_bias",
        "invalid_value",
        "expected every bias to be a number from -100 to 100, got {'1': True}",
    ),
    (
        {"logit_bias": [1]},
        "logit_bias",
        "invalid_value",
        "expected at most 300 token ids, each with a number, got [1]",
    ),
    ({"accept": 1.5}, "accept", "invalid_value", "expected less than or equal to 1, got 1.5"),
    ({"accept": "0.5"}, "accept", "invalid_value", "expected a valid number, got '0.5'"),
    ({"store": True}, "store", "unsupported_parameter", "not supported yet: leave it out or send false"),
    ({"functions": [{}]}, "functions", "unsupported_parameter", "not supported yet: leave it out"),
    (
        turn(content=[{"type": "image_url", "image_url": {"url": "data:"}}]),
        "messages[0].content",
        "unsupported_parameter",
        "image_url parts are not supported, only text",
    ),
    ({"model": 1}, "model", "invalid_value", "expected a valid string, got 1"),
    ({"model": ""}, "model", "invalid_value", "expected a length of at least 1, got ''"),
    ({"messages": []}, "messages", "invalid_value", "expected a length of at least 1, got []"),
    ({"messages": "hi"}, "messages", "invalid_value", "expected a valid array, got 'hi'"),
    (
        turn(role="usr"),
        "messages[0].role",
        "invalid_value",
        "expected 'system', 'developer', 'user', 'assistant' or 'tool', got 'usr'",
    ),
    (
        turn(content=3),
        "messages[0].content",
        "invalid_value",
        "expected a string or a list of text parts, got 3",
    ),
    (
        turn(content=["x"]),
        "messages[0].content",
        "invalid_value",
        "expected every part to be {'type': 'text', 'text': '...'}, got ['x']",
    ),
    (
        turn(content=None),
        "messages[0]",
        "invalid_value",
        "expected content, or tool_calls on an assistant message, got {'content': None, 'role': 'user'}",
    ),
    (
        turn(role="tool"),
        "messages[0]",
        "invalid_value",
        "expected a tool message to have a tool_call_id, got {'content': 'hi', 'role': 'tool'}",
    ),
    (
        {"messages": [ASK["messages"][0]] * 4},  # type: ignore[index]
        "messages",
        "invalid_value",
        "expected at most 3, got 4",
    ),
    ({"temperature": 3}, "temperature", "invalid_value", "expected less than or equal to 2, got 3"),
    ({"temperature": True}, "temperature", "invalid_value", "expected a valid number, got True"),
    ({"temperature": "1"}, "temperature", "invalid_value", "expected a valid number, got '1'"),
    ({"top_p": 0}, "top_p", "invalid_value", "expected greater than 0, got 0"),
    (
        {"presence_penalty": -3},
        "presence_penalty",
        "invalid_value",
        "expected greater than or equal to -2, got -3",
    ),
    ({"n": 0}, "n", "invalid_value", "expected greater than or equal to 1, got 0"),
    ({"n": 3}, "n", "invalid_value", "expected at most 2, got 3"),
    ({"max_tokens": 101}, "max_tokens", "invalid_value", "expected at most 100, got 101"),
    (
        {"max_completion_tokens": 101},
        "max_completion_tokens",
        "invalid_value",
        "expected at most 100, got 101",
    ),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_value", "expected a valid integer, got 1.5"),
    (
        {"max_tokens": 1, "max_completion_tokens": 2},
        "max_tokens",
        "invalid_value",
        "is 1 where max_completion_tokens is 2: send one of them",
    ),
    ({"seed": 2**63}, "seed", "invalid_value", f"expected less than {2**63}, got {2**63}"),
    (
        {"stop": list("abcde")},
        "stop",
        "invalid_value",
        "expected a string or a list of at most 4 strings, got ['a', 'b', 'c', 'd', 'e']",
    ),
    (
        {"stop": ""},
        "stop",
        "invalid_value",
        "expected every stop string to be a string that is not empty, got ''",
    ),
    (
        {"logprobs": True, "top_logprobs": 21},
        "top_logprobs",
        "invalid_value",
        "expected less than or equal to 20, got 21",
    ),
    ({"top_logprobs": 2}, "top_logprobs", "invalid_value", "needs logprobs to be true"),
    (
        {"stream_options": {"include_usage": True}},
        "stream_options",
        "invalid_value",
        "needs stream to be true",
    ),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value", "needs tools"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
        "tool_choice",
        "invalid_value",
        "names the function 'sub', which is not in tools",
    ),
    (
        {"tools": [TOOL], "tool_choice": "any"},
        "tool_choice",
        "invalid_value",
        "expected 'none', 'auto', 'required' or {'type': 'function', 'function': {'name': '...'}}, got 'any'",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
        "invalid_value",
        "expected a string that matches ^[A-Za-z0-9_-]{1,64}$, got 'a b'",
    ),
    (
        {"response_format": {"type": "xml"}},
        "response_format.type",
        "invalid_value",
        "expected 'text', 'json_object', 'json_schema' or 'choice', got 'xml'",
    ),
    (
        {"response_format": {"type": "choice"}},
        "response_format",
        "invalid_value",
        "expected choices with the type 'choice', and only with it, got {'type': 'choice'}",
    ),
    (
        {"response_format": {"type": "text", "choices": ["a"]}},
        "response_format",
        "invalid_value",
        "expected choices with the type 'choice', and only with it, got {'choices': ['a'], 'type': 'text'}",
    ),
    (
        {"response_format": {"type": "choice", "choices": ["a", "b "]}},
        "response_format.choices[1]",
        "invalid_value",
        "expected 1 to 256 printable characters without blanks around them, got 'b '",
    ),
    (
        {"response_format": {"type": "choice", "choices": ["a\tb"]}},
        "response_format.choices[0]",
        "invalid_value",
        "expected 1 to 256 printable characters without blanks around them, got 'a\\tb'",
    ),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format",
        "invalid_value",
        "expected json_schema with the type 'json_schema', and only with it, got {'type': 'json_schema'}",
    ),
]


@pytest.mark.parametrize(
    ("fields", "param", "code", "message"), REFUSED, ids=[f"{r[1]}-{i}" for i, r in enumerate(REFUSED)]
)
def test_a_bad_field_is_refused_by_name(fields: dict[str, Any], param: str, code: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        request_of(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert str(caught.value) == f"{param}: {message}"


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_chat(json.dumps({k: v for k, v in ASK.items() if k != field}).encode())
    assert (caught.value.param, caught.value.code) == (field, "missing_required_parameter")
    assert str(caught.value) == f"{field}: is required"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"seed": ' + b"9" * 5000 + b"}",
    ],
    ids=["empty", "cut", "binary", "not utf-8", "half a surrogate", "deep", "long number"],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="The body is not valid JSON: ") as caught:
        parse_chat(body)
    assert (caught.value.param, caught.value.code) == (None, "invalid_json")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"', b"null"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="The body must be a JSON object, got "):
        parse_chat(body)


def test_messages_about_large_values_stay_short() -> None:
    with pytest.raises(RequestError) as caught:
        request_of(**{"x" * 100_000: 1})
    assert len(str(caught.value)) < 200
    with pytest.raises(RequestError) as caught:
        request_of(temperature=["y" * 100_000])
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def refusal_of(fields: dict[str, Any]) -> RequestError | None:
    try:
        request_of(**fields)
    except RequestError as error:
        return error
    return None


@given(st.dictionaries(st.sampled_from(sorted(ChatRequest.model_fields)), JSON))
def test_whatever_the_fields_hold_it_is_taken_or_refused_by_name(fields: dict[str, Any]) -> None:
    error = refusal_of(fields)
    if error is not None:
        assert error.param is not None
        assert str(error).startswith(f"{error.param}: ")


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_they_are_taken_or_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        parse_chat(body)
