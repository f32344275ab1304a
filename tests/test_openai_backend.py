"""A model behind any OpenAI-compatible server: what is asked, what comes back, and how a request ends."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from openai_fixtures import KEY, deltas_of, remote, text_of
from router_fixtures import ASKED, failure_of
from server_fixtures import eventually
from stand_in_remote import DONE, choice, event, hang, logprobs, pause, words

from pinnace.errors import BackendError, RequestError
from pinnace.models.completion import Delta, Message, Request, TokenLogprob, Usage
from pinnace.models.openai_call import joined


async def test_an_answer_with_log_probabilities_and_the_servers_own_count() -> None:
    said = [
        event(choice("", role="assistant")),
        event(choice("It", logprobs=logprobs("It", -0.5, [("He", -1.5), ("It", -0.5)]))),
        event(choice(" is", logprobs=logprobs(" is", -0.25, [(" is", -0.25)]))),
        event(choice(finish="stop")),
        event(usage={"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}),
        DONE,
    ]
    async with remote(*said) as (backend, _):
        deltas = await deltas_of(backend)
    assert text_of(deltas) == "It is"
    assert deltas[0].logprobs == (TokenLogprob("It", -0.5, (("It", -0.5), ("He", -1.5))),)
    assert [delta.finish_reason for delta in deltas] == [None, None, "stop", None]
    assert [delta.usage for delta in deltas] == [Usage(7, 1), Usage(7, 2), Usage(7, 2), Usage(11, 2)]


async def test_it_asks_as_the_wire_wants_and_sends_the_key_in_the_header_alone() -> None:
    asked = Request(
        (Message("system", "Be brief."), Message("user", "Hi", {"name": "ann"})),
        max_tokens=9,
        n=2,
        temperature=0.5,
        stop=("\n",),
        seed=7,
        top_logprobs=2,
        response_format={"type": "json_object"},
    )
    said = [event(choice("a", 0, "stop"), choice("b", 1, "stop")), DONE]
    async with remote(*said) as (backend, place):
        await deltas_of(backend, asked)
    assert place.asked == [
        {
            "model": "gpt",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi", "name": "ann"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
            "n": 2,
            "temperature": 0.5,
            "stop": ["\n"],
            "seed": 7,
            "logprobs": True,
            "top_logprobs": 2,
            "response_format": {"type": "json_object"},
        }
    ]
    (headers,) = place.headers
    assert headers["request"] == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "identity"
    assert KEY not in repr(place.asked) + repr(backend) + repr(vars(backend))


async def test_what_the_configuration_samples_with_is_sent_where_the_request_says_nothing() -> None:
    async with remote(*words("a"), sampling={"temperature": 0.2}) as (backend, place):
        await deltas_of(backend)
        await deltas_of(backend, replace(ASKED, temperature=0.0))
    assert [body.get("temperature") for body in place.asked] == [0.2, 0.0]
    assert all("top_p" not in body for body in place.asked)


async def test_without_a_key_no_header_is_sent() -> None:
    async with remote(*words("a"), api_key=None) as (backend, place):
        await deltas_of(backend)
    assert "authorization" not in place.headers[0]


async def test_without_usage_pieces_are_counted() -> None:
    async with remote(*words("one ", "two ", "three"), DONE) as (backend, _):
        deltas = await deltas_of(backend)
    assert deltas[-1].usage == Usage(len(ASKED.text()) // 4, 3)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 11}, Usage(11, 1)),
        ({"completion_tokens": 5}, Usage(7, 5)),
        (None, Usage(7, 1)),
        ({"prompt_tokens": 11, "prompt_tokens_details": None}, Usage(11, 1)),
        ({"prompt_tokens": 11, "prompt_tokens_details": {"audio_tokens": 0}}, Usage(11, 1)),
        ({"prompt_tokens": 11, "prompt_tokens_details": {"cached_tokens": 8}}, Usage(11, 1, cached_tokens=8)),
        ({"prompt_tokens_details": {"cached_tokens": 10**6}}, Usage(7, 1, cached_tokens=7)),
    ],
)
async def test_half_a_count_fills_only_its_half(usage: dict[str, Any] | None, expected: Usage) -> None:
    async with remote(*words("one"), event(usage=usage), DONE) as (backend, _):
        deltas = await deltas_of(backend)
    assert deltas[-1].usage == expected


async def test_choices_come_interleaved_and_tool_calls_in_pieces() -> None:
    def call(index: int, **function: str) -> dict[str, object]:
        piece = {"index": 0, "function": function, "extra": {"not": "ours"}}
        return {"index": index, "delta": {"tool_calls": [piece]}}

    said = [
        event(call(0, name="look_up"), choice("Hm", 1)),
        event(call(0, arguments='{"a":')),
        event(call(0, arguments="1}")),
        event(choice(finish="tool_calls"), choice(None, 1, "length")),
    ]
    async with remote(*said) as (backend, _):
        deltas = await deltas_of(backend, replace(ASKED, n=2))
    assert [delta.tool_calls for delta in deltas if delta.tool_calls] == [
        ({"index": 0, "function": {"name": "look_up"}},),
        ({"index": 0, "function": {"arguments": '{"a":'}},),
        ({"index": 0, "function": {"arguments": "1}"}},),
    ]
    assert text_of(deltas, 1) == "Hm"
    assert {delta.index: delta.finish_reason for delta in deltas} == {0: "tool_calls", 1: "length"}
    assert deltas[-1].usage == Usage(7, 4)


async def test_events_may_be_torn_anywhere_and_hold_any_text() -> None:
    body = (
        b": hello\r\n\r\n" + b"".join(words("Où? ", "🚢\u2028\x85 ", "done")).replace(b"\n", b"\r\n") + DONE
    )
    for size in (1, 2, 3, 7, 1000):
        async with remote(*(body[at : at + size] for at in range(0, len(body), size))) as (backend, _):
            assert text_of(await deltas_of(backend)) == "Où? 🚢\u2028\x85 done"


async def test_other_fields_of_events_are_passed_over() -> None:
    noise = b"event: message\nid: 7\nretry: 100\ndata:\n\n: ping\n\n"
    async with remote(noise, *words("a"), noise, DONE) as (backend, _):
        assert text_of(await deltas_of(backend)) == "a"


async def test_connections_are_used_again() -> None:
    async with remote(*words("a"), event(usage={"prompt_tokens": 1}), DONE) as (backend, place):
        for _ in range(3):
            await deltas_of(backend)
        assert place.connections == 1


async def test_a_request_that_json_cannot_hold_is_the_requests_fault() -> None:
    async with remote(*words("a")) as (backend, place):
        error = await failure_of(deltas_of(backend, replace(ASKED, temperature=float("nan"))))
        assert isinstance(error, RequestError)
        assert place.asked == []
        half = replace(ASKED, messages=(Message("user", "half a pair: \ud83d"),))
        assert text_of(await deltas_of(backend, half)) == "a"


async def test_closing_the_stream_closes_the_connection() -> None:
    async with remote(event(choice("It")), hang) as (backend, place):
        async with aclosing(backend.stream(ASKED)) as deltas:
            await anext(deltas)
            assert (backend.running, len(place.open)) == (1, 1)
        assert backend.running == 0
        await eventually(lambda: not place.open)


async def test_cancelling_closes_the_connection_at_any_point_after_the_request() -> None:
    said = [pause(0.005), *(part for word in "abcde" for part in (event(choice(word)), pause(0.005)))]
    async with remote(*said, *words("f")) as (backend, place):
        for step in range(12):
            task = asyncio.create_task(deltas_of(backend))
            await eventually(lambda: len(place.asked) == step + 1)  # noqa: B023 - it is asked right here
            await asyncio.sleep(0.004 * step)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert backend.running == 0
        assert text_of(await deltas_of(backend)) == "abcdef"
        await eventually(lambda: len(place.open) <= 1)


async def test_draining_waits_for_what_runs_and_lets_nothing_new_in() -> None:
    async with remote(event(choice("It")), pause(0.3), *words(" is")) as (backend, _):
        running = asyncio.create_task(deltas_of(backend))
        await eventually(lambda: backend.running)
        draining = asyncio.create_task(backend.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        late = await failure_of(deltas_of(backend))
        assert str(late) == "large: is shut down"
        assert text_of(await running) == "It is"
        await draining


async def test_many_at_once_each_get_their_own() -> None:
    async with remote(*words("one ", "two"), DONE) as (backend, place):
        answers = await asyncio.gather(*(deltas_of(backend) for _ in range(50)))
        assert {text_of(deltas) for deltas in answers} == {"one two"}
        assert (backend.running, len(place.asked)) == (0, 50)


def test_an_error_comes_after_what_was_said_before_it() -> None:
    def said() -> Iterator[Delta]:
        yield Delta("a")
        yield Delta("b")
        raise BackendError("broke")

    heard = joined(said())
    assert next(heard).text == "ab"
    with pytest.raises(BackendError, match="broke"):
        next(heard)


def test_joined_deltas_say_the_same() -> None:
    deltas = [
        Delta("a", 0),
        Delta("b", 0, usage=Usage(1, 2)),
        Delta("c", 1),
        Delta("", 1, finish_reason="stop"),
    ]
    assert list(joined(deltas)) == [
        Delta("ab", 0, usage=Usage(1, 2)),
        Delta("c", 1, finish_reason="stop"),
    ]
