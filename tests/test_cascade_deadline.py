"""A request's deadline in the cascade: it aborts what runs, and an answer in hand goes before an error."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from cascade_fixtures import MODES, UNSURE
from openai_fixtures import FAST, remote
from router_fixtures import ASKED, ToldBackend, cascade_of, failure, failure_of, run, scripted, verdicts
from server_fixtures import eventually
from stand_in_remote import refusing

from pinnace.errors import DeadlineExceededError
from pinnace.models.completion import Delta, Request
from pinnace.router.answer import Committed
from pinnace.router.cascade import asked_of
from pinnace.router.draft import Draft


def within(seconds: float) -> Request:
    return replace(ASKED, deadline=time.monotonic() + seconds)


@MODES
async def test_what_runs_is_aborted_at_the_deadline(hold_tokens: int | None) -> None:
    slow = scripted("only", "x", fault="stall")
    began = time.monotonic()
    cascade = cascade_of(slow, request=within(0.3))
    error = await failure(cascade, hold_tokens)
    assert isinstance(error, DeadlineExceededError)
    assert str(error) == "only: the request's deadline passed"
    assert 0.3 <= time.monotonic() - began < 1
    assert (slow.running, slow.aborted) == (0, 1)
    assert verdicts(cascade) == [("only", "failed")]


async def test_an_answer_that_goes_on_and_on_is_aborted_too() -> None:
    endless = scripted("only", "word " * 100_000)
    cascade = cascade_of(endless, request=replace(within(0.3), max_tokens=10**6))
    assert isinstance(await failure(cascade), DeadlineExceededError)
    assert endless.running == 0


async def test_a_doubted_answer_in_hand_is_returned_at_the_deadline() -> None:
    small, large = scripted("small", "I think it is Paris.", **UNSURE), scripted("large", "x", fault="stall")
    ran = await run(cascade_of(small, large, request=within(0.3)))
    assert (ran.text(), ran.answered.model) == ("I think it is Paris.", "small")
    assert ran.answered.why == "not escalated: large: the request's deadline passed"
    assert (len(small.requests), large.running) == (1, 0)


async def test_a_draft_that_was_aborted_is_not_begun_again_after_the_deadline() -> None:
    small, large = scripted("small", "I think it is Paris.", **UNSURE), scripted("large", "x", fault="stall")
    cascade = cascade_of(small, large, request=within(0.3))
    assert isinstance(await failure(cascade, 2), DeadlineExceededError)
    assert len(small.requests) == 1
    assert verdicts(cascade) == [("small", "climbed"), ("large", "failed")]


@MODES
async def test_no_other_rung_is_tried_after_the_deadline(hold_tokens: int | None) -> None:
    first, second, spare = (scripted(name, "x", fault="stall") for name in ("first", "second", "spare"))
    cascade = cascade_of(first, second, spare, fallbacks=1, request=within(0.3))
    assert isinstance(await failure(cascade, hold_tokens), DeadlineExceededError)
    assert [len(backend.requests) for backend in (first, second, spare)] == [1, 0, 0]


@MODES
async def test_a_request_whose_time_is_over_before_it_runs_asks_nobody(hold_tokens: int | None) -> None:
    only = scripted("only", "x")
    cascade = cascade_of(only, request=within(-1))
    assert isinstance(await failure(cascade, hold_tokens), DeadlineExceededError)
    assert only.requests == []


async def test_after_the_first_token_the_stream_ends_with_the_error() -> None:
    large = scripted("large", "one two three four", fault="stall", fault_after=3)
    cascade = cascade_of(large, request=within(0.3))
    events: list[object] = []

    async def read() -> None:
        async for event in cascade.run(2):
            events.append(event)  # noqa: PERF401 - what was read before the failure counts

    assert isinstance(await failure_of(read()), DeadlineExceededError)
    assert isinstance(events[0], Committed)
    assert [event.text for event in events[1:] if isinstance(event, Delta)] == ["one ", "two ", "three "]
    assert verdicts(cascade) == [("large", "failed")]
    assert large.running == 0


async def test_a_head_start_is_aborted_like_any_draft() -> None:
    only = scripted("only", "x", fault="stall")
    request = within(0.3)
    draft = Draft(only, asked_of(request, None, is_judged=True))
    draft.start()
    await asyncio.sleep(0.02)
    error = await failure_of(draft.hold(None))
    assert isinstance(error, DeadlineExceededError)
    await eventually(lambda: only.running == 0)
    late = Draft(only, asked_of(within(-1), None, is_judged=True))
    late.start()
    assert isinstance(await failure_of(late.hold(None)), DeadlineExceededError)
    await eventually(lambda: only.running == 0)


async def test_a_draft_that_is_over_keeps_no_timer() -> None:
    request = within(600)
    whole, broken = scripted("whole", "It is"), scripted("broken", "x y", fault="cut", fault_after=1)
    first = Draft(whole, request)
    await first.hold(None)
    second = Draft(broken, request)
    await failure_of(second.hold(None))
    third = Draft(whole, request)
    await third.hold(1)
    await third.aclose()
    for draft in (first, second, third):
        assert draft._deadline is not None
        assert draft._deadline._timer is None


@pytest.mark.parametrize("hold_tokens", [None, 2], ids=["whole", "stream"])
async def test_retries_do_not_put_the_deadline_off(hold_tokens: int | None) -> None:
    retries = {"most": 10, "floor": 100, "base_s": 0.1, "longest_s": 0.1}
    async with remote(retries=retries, timeouts=FAST) as (backend, place):
        place.answer = refusing(503)
        began = time.monotonic()
        await failure(cascade_of(backend, request=within(0.3)), hold_tokens)
        assert time.monotonic() - began < 0.8
        assert backend.running == 0


async def test_a_deadline_says_nothing_against_a_remote_server() -> None:
    async with remote(breaker={"failures": 1}) as (backend, place):
        place.answer = lambda line: line.is_left()
        assert isinstance(await failure(cascade_of(backend, request=within(0.3))), DeadlineExceededError)
        assert backend.breaker_state() == "closed"


@MODES
async def test_a_whole_answer_whose_count_is_late_is_an_answer(hold_tokens: int | None) -> None:
    class Uncounted(ToldBackend):
        async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
            yield Delta("Paris.", finish_reason="stop")
            await asyncio.Event().wait()

    cascade = cascade_of(Uncounted("only"), request=within(0.3))
    assert [delta.text for delta in (await run(cascade, hold_tokens)).deltas] == ["Paris."]
    assert verdicts(cascade) == [("only", "accepted")]
