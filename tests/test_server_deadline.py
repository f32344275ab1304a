"""Deadlines at the endpoint: configured, shortened by a header, kept in the queue and in the stream."""

import asyncio
import json
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_fixtures import ASK, ASK_HARD, House, house, member

from pinnace.errors import RequestError
from pinnace.server.deadline import TIMEOUT_HEADER, seconds_of

SILENT = member("only", {"answer": "x", "fault": "stall"})
HEADER = TIMEOUT_HEADER.decode()


async def ask(place: House, seconds: str | None = None, **fields: object) -> httpx.Response:
    headers = {} if seconds is None else {HEADER: seconds}
    async with place.http() as client:
        body = {"model": "auto", "messages": ASK, **fields}
        return await client.post("/v1/chat/completions", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("configured", "asked"), [(0.15, None), (60, "0.15"), (0.15, "60")])
async def test_a_request_ends_at_its_deadline(configured: float, asked: str | None, stream: bool) -> None:
    async with house(SILENT, request_timeout_s=configured) as place:
        began = time.monotonic()
        response = await ask(place, asked, stream=stream)
        assert 0.15 <= time.monotonic() - began < 1
        assert response.status_code == 504
        error = response.json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("server_error", "deadline_exceeded", None)
        assert error["message"] == "only: the request's deadline passed"
        assert [row.outcome for row in place.rows] == ["failed"]
        assert place.backend("only").aborted == 1


async def test_after_the_first_byte_an_error_event_ends_the_stream_without_done() -> None:
    slow = member("only", {"answer": "one two three four five", "fault": "stall", "fault_after": 4})
    async with house(slow) as place:
        response = await ask(place, "0.2", stream=True)
    assert response.status_code == 200
    *pieces, last = [line for line in response.text.splitlines() if line.startswith("data: ")]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "deadline_exceeded"
    assert "[DONE]" not in response.text
    text = "".join(json.loads(p[6:])["choices"][0]["delta"].get("content", "") for p in pieces)
    assert text == "one two three four "


async def test_an_answer_in_hand_is_sent_at_the_deadline() -> None:
    unsure = member("small", {"answer": "I do not know that.", "probability": 0.2})
    async with house(unsure, member("large", {"answer": "x", "fault": "stall"})) as place:
        response = await ask(place, "0.2", messages=ASK_HARD)
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"]["content"] == "I do not know that."
        assert [row.model for row in place.rows] == ["small"]


async def test_waiting_for_a_place_counts() -> None:
    async with house(SILENT, max_running=1) as place:
        first = asyncio.create_task(ask(place, "0.4"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        second = await ask(place, "0.1")
        assert time.monotonic() - began < 0.35
        assert second.status_code == 504
        assert second.json()["error"]["code"] == "deadline_exceeded"
        assert second.json()["error"]["message"] == "The request was not answered within 0.1 s."
        assert (await first).status_code == 504
        assert len(place.backend("only").requests) == 1


@pytest.mark.parametrize(
    "value", ["", "soon", "0", "-1", "nan", "inf", "1e999", "1s", "0x10", "9" * 500 + "x"]
)
async def test_a_header_that_is_no_number_of_seconds_is_refused(value: str) -> None:
    async with house() as place:
        response = await ask(place, value)
        assert response.status_code == 400
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
        assert error["param"] == "x-pinnace-timeout-s"
        expected = f"x-pinnace-timeout-s: expected a number of seconds above 0, got {value[:64]!r}"
        assert error["message"] == expected
        assert place.rows == []


@given(st.binary(max_size=80), st.floats(0.01, 1000))
def test_any_header_is_a_time_within_bounds_or_an_error(value: bytes, most_s: float) -> None:
    try:
        seconds = seconds_of([(TIMEOUT_HEADER, value)], most_s)
    except RequestError:
        return
    assert 0 < seconds <= most_s
