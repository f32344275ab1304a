"""A remote server that fails is asked again within bounds, then left alone; and it is asked as it wants."""

import asyncio
import json
import socket
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from openai_fixtures import FAST, backend_at, deltas_of, remote, text_of
from router_fixtures import ASKED, failure_of
from stand_in_remote import DONE, answering, choice, event, hang, in_turn, pause, refusing, reset, words

from pinnace.errors import BackendError, BackendUnavailableError, ContextTooLongError
from pinnace.models.openai_backend import OpenAIBackend

QUICK = {"base_s": 0.001, "longest_s": 0.002}
NEVER = {"failures": 10**6}
GOOD = answering(*words("It is"), DONE)


async def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


async def fails(backend: OpenAIBackend, times: int) -> list[Exception]:
    return [await failure_of(deltas_of(backend)) for _ in range(times)]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_status_that_passes_is_tried_again(status: int) -> None:
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(refusing(status), refusing(status), GOOD)
        assert text_of(await deltas_of(backend)) == "It is"
        assert (len(place.asked), backend.attempts, backend.retries) == (3, 3, 2)


@pytest.mark.parametrize("status", [204, 307, 400, 401, 403, 404, 409, 413, 422, 501])
async def test_any_other_status_is_not(status: int) -> None:
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(refusing(status), GOOD)
        assert isinstance(await failure_of(deltas_of(backend)), BackendUnavailableError)
        assert (len(place.asked), backend.retries) == (1, 0)


async def test_a_connection_that_breaks_before_an_answer_is_tried_again() -> None:
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(reset, GOOD)
        assert text_of(await deltas_of(backend)) == "It is"
        assert backend.retries == 1


@pytest.mark.parametrize(
    "broken",
    [
        answering(event(choice("It")), reset),
        answering(reset),
        answering(event(error="overloaded")),
        answering(b"data: {nope\n\n"),
        answering(event(choice("", role="assistant"))),
    ],
    ids=["after a token", "after the headers", "an error event", "garbage", "no word"],
)
async def test_an_answer_that_had_begun_is_not(broken: object) -> None:
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(broken, GOOD)
        assert isinstance(await failure_of(deltas_of(backend)), BackendError)
        assert (len(place.asked), backend.retries) == (1, 0)


async def test_a_first_token_that_does_not_come_is_not_waited_for_twice() -> None:
    async with remote(retries=QUICK, timeouts=FAST | {"first_token_s": 0.05}) as (backend, place):
        place.answer = in_turn(hang, GOOD)
        assert str(await failure_of(deltas_of(backend))) == "large: no token within 0.05 s"
        assert backend.retries == 0


async def test_a_prompt_that_is_too_long_says_nothing_against_the_server() -> None:
    body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    async with remote(breaker={"failures": 2}) as (backend, place):
        place.answer = refusing(400, body)
        assert all(isinstance(error, ContextTooLongError) for error in await fails(backend, 5))
        assert backend.breaker_state() == "closed"
        assert len(place.asked) == 5


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for(form: str) -> None:
    header = "0.3" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), True)
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(refusing(503, retry_after=header), GOOD)
        began = time.monotonic()
        assert text_of(await deltas_of(backend)) == "It is"
        assert time.monotonic() - began >= (0.3 if form == "seconds" else 0.9)


@pytest.mark.parametrize(("retry_after", "deadline_s"), [("21", None), ("5", 2.0)])
async def test_a_retry_that_would_come_too_late_is_none(retry_after: str, deadline_s: float | None) -> None:
    deadline = None if deadline_s is None else time.monotonic() + deadline_s
    async with remote(retries=QUICK) as (backend, place):
        place.answer = in_turn(refusing(429, retry_after=retry_after), GOOD)
        began = time.monotonic()
        error = await failure_of(deltas_of(backend, replace(ASKED, deadline=deadline)))
        assert "answered 429" in str(error)
        assert time.monotonic() - began < 1
        assert len(place.asked) == 1


@pytest.mark.parametrize("breaker", [{}, NEVER], ids=["with the breaker", "without it"])
@pytest.mark.parametrize("dead", [True, False], ids=["dead", "503"])
async def test_a_total_failure_is_asked_at_most_a_fifth_more(dead: bool, breaker: dict[str, int]) -> None:
    async with remote(retries=QUICK, breaker=breaker) as (there, place):
        place.answer = refusing(503)
        backend = backend_at(await closed_port(), retries=QUICK, breaker=breaker) if dead else there
        slots = asyncio.Semaphore(50)

        async def ask() -> Exception:
            async with slots:
                return await failure_of(deltas_of(backend))

        errors = await asyncio.gather(*(ask() for _ in range(1000)))
        assert all(isinstance(error, BackendUnavailableError) for error in errors)
        assert backend.attempts <= 1200
        assert dead or len(place.asked) == backend.attempts
        assert backend.running == 0
        if breaker:
            assert backend.attempts >= 1000
            assert 100 <= backend.retries <= 200
        else:
            assert backend.breaker_state() == "open"
            assert backend.attempts < 200
        await backend.drain()


async def test_a_server_that_keeps_failing_is_left_alone_and_then_tried_once() -> None:
    async with remote(retries={"most": 0}, breaker={"failures": 3, "rest_s": 0.2}) as (backend, place):
        place.answer = refusing(503)
        await fails(backend, 3)
        assert backend.breaker_state() == "open"
        (error,) = await fails(backend, 1)
        assert isinstance(error, BackendUnavailableError)
        assert str(error).startswith("large: left alone for 0.")
        assert len(place.asked) == 3
        await asyncio.sleep(0.25)
        place.answer = answering(pause(0.05), *words("It is"), DONE)
        probe = asyncio.create_task(deltas_of(backend))
        await asyncio.sleep(0.02)
        (second,) = await fails(backend, 1)
        assert "until one request has shown that it works again" in str(second)
        assert text_of(await probe) == "It is"
        assert backend.breaker_state() == "closed"
        assert len(place.asked) == 4


async def test_a_probe_whose_client_left_is_followed_by_another() -> None:
    async with remote(retries={"most": 0}, breaker={"failures": 1, "rest_s": 0.05}) as (backend, place):
        place.answer = refusing(503)
        await fails(backend, 1)
        await asyncio.sleep(0.06)
        place.answer = hang
        probe = asyncio.create_task(deltas_of(backend))
        await asyncio.sleep(0.05)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        place.answer = GOOD
        assert text_of(await deltas_of(backend)) == "It is"


async def test_leaving_while_it_waits_to_ask_again_leaves_nothing_behind() -> None:
    async with remote(retries={"base_s": 60, "longest_s": 60}) as (backend, place):
        place.answer = refusing(503)
        asking = asyncio.create_task(deltas_of(backend))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (backend.running, len(place.asked)) == (0, 1)


UNSUPPORTED = json.dumps(
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    }
).encode()


async def test_the_cap_is_called_what_the_server_wants_from_the_first_refusal_on() -> None:
    async with remote() as (backend, place):
        place.answer = in_turn(refusing(400, UNSUPPORTED), GOOD)
        for _ in range(3):
            assert text_of(await deltas_of(backend)) == "It is"
        caps = [{key for key in body if key.startswith("max_")} for body in place.asked]
        assert caps == [{"max_tokens"}, *[{"max_completion_tokens"}] * 3]
        assert backend.retries == 0


async def test_the_cap_is_renamed_once_and_no_more() -> None:
    async with remote() as (backend, place):
        place.answer = refusing(
            400, UNSUPPORTED.replace(b"max_tokens", b"max_tokens or max_completion_tokens")
        )
        await fails(backend, 2)
        assert [next(k for k in body if k.startswith("max_")) for body in place.asked] == [
            "max_tokens",
            "max_completion_tokens",
            "max_completion_tokens",
        ]


async def test_many_that_are_refused_at_once_are_all_sent_again() -> None:
    async with remote() as (backend, place):
        refusals = [answering_late(UNSUPPORTED)] * 5
        place.answer = in_turn(*refusals, GOOD)
        answers = await asyncio.gather(*(deltas_of(backend) for _ in range(5)))
        assert [text_of(deltas) for deltas in answers] == ["It is"] * 5


def answering_late(body: bytes) -> object:
    async def answer(line: object) -> None:
        await asyncio.sleep(0.05)
        await refusing(400, body)(line)  # type: ignore[arg-type]

    return answer


async def test_a_cap_that_is_too_large_is_not_renamed() -> None:
    async with remote() as (backend, place):
        place.answer = refusing(
            400, b'{"error": {"message": "max_tokens is too large: 9000", "param": "max_tokens"}}'
        )
        await fails(backend, 2)
        assert all("max_tokens" in body for body in place.asked)
        assert len(place.asked) == 2


async def test_the_configured_name_of_the_cap_is_sent() -> None:
    async with remote(*words("a"), max_tokens_field="max_completion_tokens") as (backend, place):
        await deltas_of(backend)
    assert place.asked[0]["max_completion_tokens"] == ASKED.max_tokens
    assert "max_tokens" not in place.asked[0]


async def test_the_trace_of_the_client_goes_along() -> None:
    trace = (("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("tracestate", "vendor=1"))
    async with remote(*words("a")) as (backend, place):
        await deltas_of(backend, replace(ASKED, trace_headers=trace))
        await deltas_of(backend)
    assert dict(trace).items() <= place.headers[0].items()
    assert "traceparent" not in place.headers[1]


async def test_one_connection_each_and_who_finds_none_free_waits_in_line() -> None:
    async with remote(pause(0.02), *words("a"), DONE, connections=3) as (backend, place):
        answers = await asyncio.gather(*(deltas_of(backend) for _ in range(12)))
        assert [text_of(deltas) for deltas in answers] == ["a"] * 12
        assert place.connections == 3


async def test_a_connection_that_was_left_early_is_not_used_again() -> None:
    async with remote(event(choice("It")), pause(0.1), *words(" is"), DONE, connections=1) as (
        backend,
        place,
    ):
        for _ in range(3):
            async with aclosing(backend.stream(ASKED)) as deltas:
                await anext(deltas)
        assert text_of(await deltas_of(backend)) == "It is"
        assert place.connections == 4


async def test_who_leaves_the_line_takes_nobodys_place() -> None:
    async with remote(pause(0.05), *words("a"), DONE, connections=1) as (backend, _):
        asking = [asyncio.create_task(deltas_of(backend)) for _ in range(6)]
        await asyncio.sleep(0.02)
        for task in asking[1:5]:
            task.cancel()
        assert text_of(await asking[5]) == "a"
        assert text_of(await deltas_of(backend)) == "a"
        await asyncio.gather(*asking, return_exceptions=True)
