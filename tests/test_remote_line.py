"""The line over HTTP to servers of all kinds: what is asked, and what is read."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_fixtures import KEY
from remote_line_fixtures import AS, ASK, envelope, error_on, line_through, line_to, whole
from stand_in_remote import DONE, answering, event, hang, logprobs, pause, refusing, words

from pinnace.agents.chat_wire import members_of, settled_of
from pinnace.agents.gathering import Gathering, reply_of
from pinnace.agents.remote_line import RemoteLine
from pinnace.agents.reply import Account, Call, Member, Settled
from pinnace.errors import BackendError, ConfigError, RequestError
from pinnace.models.completion import Delta, Usage


async def test_a_server_that_is_no_pinnace_tells_only_who_answered() -> None:
    async with line_to(whole("Paris.")) as (line, place):
        reply = await line.complete(ASK, "gpt")
    (body,), (headers,) = place.asked, place.headers
    assert [sample.text for sample in reply.samples] == ["Paris."]
    account = replace(reply.account, seconds=0.0)
    why = "the endpoint says nothing of its route"
    assert account == Account("gpt-x", ("gpt-x",), None, False, why, Usage(9, 2), 0.0)
    messages = [{"role": "user", "content": ASK.text()}]
    assert body == {"model": "gpt", "messages": messages, "max_tokens": 512, "n": 1}
    assert headers["request"] == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_the_same_as_a_stream() -> None:
    said = [
        *words("Par", "is."),
        event(usage={"prompt_tokens": 9, "completion_tokens": 2}, model="gpt-x"),
        DONE,
    ]
    async with line_to(*said, hang) as (line, place):
        reply = await reply_of(line.stream(ASK, "gpt"), 1)
    assert [sample.text for sample in reply.samples] == ["Paris."]
    assert (reply.account.model, reply.account.usage) == ("gpt-x", Usage(9, 2))
    assert place.asked[0]["stream_options"] == {"include_usage": True}


async def test_tokens_that_nobody_counted_are_guessed() -> None:
    async with line_to(whole("Paris is the capital.", usage=None, model=None)) as (line, _):
        account = (await line.complete(ASK, "gpt")).account
    assert (account.usage, account.model) == (Usage(11, 5), "gpt")


async def test_whole_calls_and_log_probabilities_are_read() -> None:
    calls = [
        {"type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]
    said = logprobs("x", -0.5, [("y", -2.0), ("x", -0.5)])
    one = {"index": 0, "message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}
    async with line_to(whole(choices=[{**one, "logprobs": said}])) as (line, _):
        (sample,) = (await line.complete(replace(ASK, top_logprobs=2))).samples
    first, second = sample.calls
    assert (first.name, second) == ("f", Call("b", "g", "[]"))
    assert first.id.startswith("call_")
    assert sample.logprobs[0].top == (("x", -0.5), ("y", -2.0))
    assert sample.text == ""


UNKNOWN = envelope(message="Unrecognized request argument supplied: accept")
OTHER_NAME = envelope("unsupported_parameter", "max_tokens", "Use 'max_completion_tokens' instead.")


@AS
async def test_a_server_that_knows_no_bar_is_asked_without_one_from_then_on(is_stream: bool) -> None:
    good = answering(*words("Paris."), DONE) if is_stream else answering(whole("Paris."))
    async with line_through(refusing(400, UNKNOWN), good) as (line, place):
        for _ in range(2):
            barred = replace(ASK, accept=0.9)
            asked = reply_of(line.stream(barred), 1) if is_stream else line.complete(barred)
            assert (await asked).samples[0].text == "Paris."
    assert [body.get("accept") for body in place.asked] == [0.9, None, None]


CHOICE = replace(ASK, response_format={"type": "choice", "choices": ["Paris", "Rome"]})
NO_CHOICE = [
    envelope(
        "invalid_value", "response_format.type", "Invalid value: 'choice'. Supported values are: 'text'."
    ),
    envelope(message="Input tag 'choice' found using 'type' does not match any of the expected tags"),
]


@pytest.mark.parametrize("refused", NO_CHOICE)
async def test_a_server_that_knows_no_choice_is_asked_without_one_from_then_on(refused: bytes) -> None:
    async with line_through(refusing(400, refused), answering(whole("Paris"))) as (line, place):
        for _ in range(2):
            assert (await line.complete(CHOICE)).samples[0].text == "Paris"
    assert [body.get("response_format") for body in place.asked] == [CHOICE.response_format, None, None]


async def test_a_choice_that_a_pinnace_refuses_is_not_taken_for_one_that_it_does_not_know() -> None:
    refused = envelope(
        "invalid_value", "response_format.choices[0]", "expected 1 to 256 printable characters"
    )
    async with line_through(refusing(400, refused)) as (line, place):
        with pytest.raises(RequestError):
            await line.complete(CHOICE)
    assert len(place.asked) == 1


@pytest.mark.parametrize(
    ("headers", "settled"),
    [
        ({}, None),
        ({"x-pinnace-model": "gpt", "x-pinnace-route": ">"}, None),
        (
            {"x-pinnace-model": "g\x1bpt", "x-pinnace-route": "small>gpt", "x-pinnace-why": "too  unsure"},
            Settled("gpt", ("small", "gpt"), "too unsure"),
        ),
    ],
)
def test_who_answers_is_read_from_the_headers_and_not_trusted(
    headers: dict[str, str], settled: Settled | None
) -> None:
    assert settled_of(headers) == settled


async def test_the_cap_is_called_what_the_server_calls_it() -> None:
    async with line_through(refusing(400, OTHER_NAME), answering(whole("Paris."))) as (line, place):
        await line.complete(replace(ASK, accept=0.9))
        await line.complete(ASK)
    caps = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in place.asked]
    assert caps == [(512, None), (None, 512), (None, 512)]


async def test_a_server_that_refuses_both_names_is_asked_twice() -> None:
    refused = envelope(message="max_tokens and max_completion_tokens are not supported")
    async with line_through(refusing(400, refused)) as (line, place):
        assert type(await error_on(line)) is RequestError
    assert len(place.asked) == 2


async def test_what_no_endpoint_can_be_told_is_refused() -> None:
    async with line_to(whole("x")) as (line, place):
        assert "allowed" in str(await error_on(line, replace(ASK, allowed=frozenset({"small"}))))
        assert "accept" in str(await error_on(line, replace(ASK, accept=float("nan"))))
        assert "not finite" in str(await error_on(line, replace(ASK, temperature=float("nan"))))
    assert place.asked == []


async def test_what_is_said_of_a_request_travels_in_headers() -> None:
    asked = replace(ASK, private=True, priority=1, trace_headers=(("traceparent", "00-1-2-01"),))
    async with line_to(pause(0.01), whole("x")) as (line, place):
        await line.complete(replace(asked, deadline=time.monotonic() + 1))
        await line.complete(ASK)
    told, plain = place.headers
    assert (told["x-pinnace-private"], told["x-pinnace-priority"], told["traceparent"]) == (
        "true",
        "batch",
        "00-1-2-01",
    )
    assert 0.5 < float(told["x-pinnace-timeout-s"]) <= 1
    assert not any(name.startswith(("x-", "trace")) for name in plain)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://x:1", "http://x:1/v1"),
        ("http://x:1/", "http://x:1/v1"),
        ("https://x/api/v2/", "https://x/api/v2"),
    ],
)
def test_an_address_without_a_path_gets_one(address: str, expected: str) -> None:
    assert RemoteLine(address)._name == expected


@pytest.mark.parametrize(
    ("address", "key", "message"),
    [
        ("x", None, "base_url: expected an address such as"),
        ("http://u:secret@x/v1", None, "base_url: expected neither user, password"),
        ("http://x/v1", "a\nb", "api_key: expected|api_key: A key"),
    ],
)
def test_an_address_or_a_key_that_cannot_be_is_refused(address: str, key: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RemoteLine(address, key)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith(("base_url: ", "api_key: "))


def test_members_are_the_models_that_answer() -> None:
    def listed(name: str, price: float | None = None, **fields: Any) -> dict[str, Any]:
        votes = {"votes": 8} if name == "large" else {}
        told = {} if price is None else {"pinnace": {"price": {"input": price, "output": price}, **votes}}
        return {"id": name, "object": "model", "created": 1, **told, **fields}

    ours = [listed("auto"), listed("large", 9), listed("small", 1), listed("minilm")]
    body = json.dumps({"data": [{**each, "owned_by": "pinnace"} for each in ours]}).encode()
    assert members_of("x", body) == (Member("small", 1, 1), Member("large", 9, 9, votes=8))
    others = json.dumps({"data": [listed("b", owned_by="openai"), listed("a")]}).encode()
    assert members_of("x", others) == (Member("b"), Member("a"))
    with pytest.raises(BackendError, match="x: expected OpenAI's wire"):
        members_of("x", b"[]")


def test_pieces_of_calls_without_an_index_belong_to_the_last_id() -> None:
    gathering = Gathering(1)
    for piece in (
        {"id": "a", "function": {"name": "f", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
    ):
        gathering.add(Delta(tool_calls=(piece,)))
    assert gathering.samples()[0].calls == (Call("a", "f", "{}"), Call("b", "g", "{}"))


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), max_size=20))
def test_choices_are_put_together_whatever_order_their_pieces_come_in(pieces: list[tuple[int, str]]) -> None:
    gathering = Gathering(3)
    for index, text in pieces:
        gathering.add(Delta(text, index))
    expected = ["".join(text for at, text in pieces if at == index) for index in range(3)]
    assert [sample.text for sample in gathering.samples()] == expected
