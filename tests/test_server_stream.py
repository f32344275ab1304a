"""Streamed answers: through the openai client, and byte for byte over a real socket."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from server_fixtures import ASK, ASK_HARD, House, house, member, on_a_socket


async def stream(place: House, **fields: object) -> list[ChatCompletionChunk]:
    async with place.client() as client:
        chunks = await client.chat.completions.create(
            **{"model": "auto", "messages": ASK, "stream": True, **fields}
        )
        return [chunk async for chunk in chunks]


def text_of(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def route_in(chunk: ChatCompletionChunk) -> Mapping[str, Any] | None:
    return chunk.model_dump().get("pinnace")


async def test_chunks_make_up_the_answer_and_the_last_tells_of_the_route() -> None:
    async with house() as place:
        chunks = await stream(place)
    assert text_of(chunks) == "The capital of France is Paris."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert {chunk.model for chunk in chunks} == {"small"}
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 7 + ["stop"]
    assert [route_in(chunk) for chunk in chunks[:-1]] == [None] * 7
    route = route_in(chunks[-1])
    assert route is not None
    assert (route["model"], route["route"], route["escalated"]) == ("small", "small", False)


async def test_usage_comes_in_a_chunk_without_choices_where_asked_for() -> None:
    async with house() as place:
        chunks = await stream(place, stream_options={"include_usage": True})
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 8
    last = chunks[-1]
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (6, 6, 12)
    assert route_in(last) is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_without_it_every_chunk_has_a_choice() -> None:
    async with house() as place:
        chunks = await stream(place, n=2)
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert text_of(chunks, 0) == text_of(chunks, 1) == "The capital of France is Paris."
    finishes = [(c.index, c.finish_reason) for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert finishes == [(0, "stop"), (1, "stop")]


async def test_log_probabilities_are_streamed_where_asked_for() -> None:
    async with house() as place:
        chunks = await stream(place, logprobs=True, top_logprobs=2)
    tokens = [
        token for chunk in chunks for c in chunk.choices if c.logprobs for token in c.logprobs.content or ()
    ]
    assert "".join(token.token for token in tokens) == text_of(chunks)
    assert [len(token.top_logprobs) for token in tokens] == [2] * 6
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_headers_leave_with_what_was_spent_by_then() -> None:
    async with house() as place, place.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="auto", messages=ASK_HARD, stream=True
        )
        chunks = [chunk async for chunk in raw.parse()]
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert raw.headers["x-pinnace-model"] == "large"
    assert raw.headers["x-pinnace-route"] == "small>large"
    route = route_in(chunks[-1])
    assert route is not None
    assert 0 < float(raw.headers["x-pinnace-cost-usd"]) < route["cost_usd"]
    assert route["escalated"] is True
    assert text_of(chunks) == "It is 42."


async def test_the_bytes_end_with_done() -> None:
    async with house() as place, place.http() as http:
        body = {"model": "auto", "messages": ASK, "stream": True}
        response = await http.post("/v1/chat/completions", json=body)
    assert response.text.endswith("\n\ndata: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in response.text.split("\n\n")[:-1])


async def test_a_failure_before_anything_was_sent_is_a_status() -> None:
    async with house(member("only", {"answer": "x", "fault": "refuse"})) as place:
        with pytest.raises(openai.InternalServerError) as caught:
            await stream(place)
    assert caught.value.status_code == 503
    assert caught.value.code == "backend_unavailable"
    assert caught.value.response.headers["retry-after"] == "5"


async def test_a_failure_after_that_is_an_event_and_no_done() -> None:
    broken = member("only", {"answer": "one two three four five", "fault": "cut", "fault_after": 4})
    async with house(broken) as place, place.http() as http:
        body = {"model": "auto", "messages": ASK, "stream": True}
        response = await http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert "[DONE]" not in response.text
    last = json.loads(response.text.split("\n\n")[-2].removeprefix("data: "))
    assert last == {
        "error": {
            "message": "only: scripted cut after 4 tokens",
            "type": "server_error",
            "param": None,
            "code": "backend_unavailable",
        }
    }


async def test_the_openai_client_raises_on_such_an_event() -> None:
    broken = member("only", {"answer": "one two three four five", "fault": "cut", "fault_after": 4})
    async with house(broken) as place:
        with pytest.raises(openai.APIError, match="scripted cut after 4 tokens"):
            await stream(place)


async def test_chunks_leave_as_they_come() -> None:
    slow = member("only", {"answer": "one two three four five six", "token_s": 0.05})
    async with house(slow) as place, on_a_socket(place.app) as port:
        body = {"model": "auto", "messages": ASK, "stream": True}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with httpx.AsyncClient() as http, http.stream("POST", url, json=body) as response:
            chunks = [chunk async for chunk in response.aiter_raw()]
    assert len(chunks) >= 5
