"""The cascade where models fail: one answer or one error all the same, and it says why."""

from collections.abc import AsyncGenerator

import pytest
from cascade_fixtures import MODES, UNSURE
from router_fixtures import ToldBackend, cascade_of, failure, run, scripted, verdicts
from server_fixtures import eventually, member

from pinnace.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    RequestError,
)
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Committed


@MODES
@pytest.mark.parametrize(
    "error",
    [
        BackendUnavailableError("large: scripted refusal"),
        BackendUnavailableError("large: cut before the first token"),
        BackendTimeoutError("large: no token within 30 s"),
        ContextTooLongError("large has a context window of 10 tokens"),
    ],
    ids=["refuse", "cut", "stall", "too long"],
)
async def test_where_the_large_model_fails_the_small_answer_is_returned_and_says_why(
    hold_tokens: int | None, error: Exception
) -> None:
    small = scripted("small", "I think it is Paris.", price=1, **UNSURE)
    cascade = cascade_of(small, ToldBackend("large", error=error))
    ran = await run(cascade, hold_tokens)
    assert ran.text() == "I think it is Paris."
    assert (ran.answered.model, ran.answered.escalated) == ("small", False)
    assert ran.answered.why == f"not escalated: {error}"
    assert ran.answered.confidence == pytest.approx(0.2)
    assert ran.answered.cost_usd == pytest.approx(sum(a.cost_usd for a in cascade.attempts))


async def test_what_a_large_model_said_before_it_broke_off_is_charged() -> None:
    broken = ToldBackend("large", Delta("Well", usage=Usage(6, 1)), error=BackendError("large: broke off"))
    cascade = cascade_of(scripted("small", "I think it is Paris.", price=2, **UNSURE), broken)
    ran = await run(cascade)
    assert ran.text() == "I think it is Paris."
    assert cascade.attempts[1].usage == Usage(6, 1)
    assert ran.answered.cost_usd == pytest.approx((2 * 11 + 7) / 1e6)


async def test_a_whole_answer_in_hand_is_not_asked_for_again() -> None:
    small = scripted("small", "I think it is Paris.", **UNSURE)
    cascade = cascade_of(small, scripted("large", "x", fault="refuse"))
    ran = await run(cascade)
    assert len(small.requests) == 1
    assert verdicts(cascade) == [("small", "accepted"), ("large", "failed")]
    assert ran.committed.tried == ("small", "large")


async def test_an_aborted_draft_is_run_again_and_charged_twice() -> None:
    small = scripted("small", "I think it is Paris.", **UNSURE)
    cascade = cascade_of(small, scripted("large", "x", fault="refuse"))
    ran = await run(cascade, 2)
    assert verdicts(cascade) == [("small", "climbed"), ("large", "failed"), ("small", "accepted")]
    assert [a.usage.completion_tokens for a in cascade.attempts] == [2, 0, 5]
    assert ran.committed.tried == ("small", "large", "small")


async def test_the_best_answer_in_hand_is_the_one_that_was_doubted_least() -> None:
    small, middle = scripted("small", "Rome.", probability=0.1), scripted("middle", "Paris.", probability=0.4)
    cascade = cascade_of(small, middle, scripted("large", "x", fault="refuse"))
    assert (await run(cascade)).text() == "Paris."


async def test_where_the_best_in_hand_fails_the_second_time_the_next_best_answers() -> None:
    class Once(ScriptedBackend):
        def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
            if self.requests:
                return ToldBackend("middle", error=BackendUnavailableError("middle: gone")).stream(request)
            return super().stream(request)

    middle = Once(member("middle", {"answer": "It is Paris now.", "probability": 0.4}))
    small = scripted("small", "It is Rome now.", probability=0.1)
    cascade = cascade_of(small, middle, scripted("large", "x", fault="refuse"))
    ran = await run(cascade, 2)
    assert ran.text() == "It is Rome now."
    assert ran.answered.why == "not escalated: middle: gone"


@MODES
async def test_where_the_small_model_fails_the_large_one_answers(hold_tokens: int | None) -> None:
    cascade = cascade_of(scripted("small", "x", fault="refuse"), scripted("large", "It is 42."))
    ran = await run(cascade, hold_tokens)
    assert (ran.text(), ran.answered.escalated) == ("It is 42.", True)
    assert ran.answered.why == "escalated: small: scripted refusal"
    assert cascade.attempts[0].confidence is None


@MODES
async def test_a_direct_route_whose_model_is_dead_falls_back_to_the_small_one(
    hold_tokens: int | None,
) -> None:
    cascade = cascade_of(
        scripted("large", "x", fault="refuse"), scripted("small", "It is Paris."), fallbacks=1
    )
    ran = await run(cascade, hold_tokens)
    assert (ran.text(), ran.answered.model, ran.answered.escalated) == ("It is Paris.", "small", False)
    assert ran.answered.why == "not escalated: large: scripted refusal"
    assert ran.committed.tried == ("large", "small")


async def test_an_answer_in_hand_goes_before_a_fallback() -> None:
    spare = scripted("spare", "Who asks?")
    cascade = cascade_of(
        scripted("small", "Rome.", **UNSURE), scripted("large", "x", fault="refuse"), spare, fallbacks=1
    )
    assert (await run(cascade)).text() == "Rome."
    assert spare.requests == []


async def test_fallbacks_are_left_alone_where_the_ladder_answers() -> None:
    spare = scripted("spare", "Who asks?")
    cascade = cascade_of(
        scripted("small", "Rome.", **UNSURE), scripted("large", "Paris."), spare, fallbacks=1
    )
    assert (await run(cascade)).text() == "Paris."
    assert spare.requests == []


@MODES
async def test_where_nobody_can_answer_the_last_failure_is_raised(hold_tokens: int | None) -> None:
    cascade = cascade_of(scripted("small", "x", fault="refuse"), scripted("large", "x", fault="refuse"))
    error = await failure(cascade, hold_tokens)
    assert isinstance(error, BackendUnavailableError)
    assert str(error) == "large: scripted refusal"
    assert verdicts(cascade) == [("small", "failed"), ("large", "failed")]
    assert cascade.committed is None


@pytest.mark.parametrize("order", [1, -1])
async def test_a_broken_backend_is_reported_before_a_request_that_is_too_long(order: int) -> None:
    too_long = ToldBackend("a", error=ContextTooLongError("a: too long"))
    broken = ToldBackend("b", error=BackendUnavailableError("b: gone"))
    error = await failure(cascade_of(*(too_long, broken)[::order]))
    assert str(error) == "b: gone"


async def test_a_request_that_fits_no_rung_is_the_clients_mistake() -> None:
    rungs = [ToldBackend(name, error=ContextTooLongError(f"{name}: too long")) for name in ("a", "b")]
    error = await failure(cascade_of(*rungs))
    assert isinstance(error, RequestError)
    assert str(error) == "b: too long"


@MODES
async def test_an_answer_that_ends_unfinished_is_a_failure(hold_tokens: int | None) -> None:
    cut = ToldBackend("small", Delta("It is", usage=Usage(6, 2)))
    error = await failure(cascade_of(cut), hold_tokens)
    assert str(error) == "small: broke off with 0 of 1 choices finished"


async def error_of(stream: AsyncGenerator[object, None], events: list[object]) -> BackendError | None:
    """Read `stream` into `events` until it fails."""
    try:
        async for event in stream:
            events.append(event)  # noqa: PERF401 - what was read before the failure counts
    except BackendError as error:
        return error
    return None


async def test_a_failure_after_the_commitment_is_raised_and_charged() -> None:
    large = scripted("large", "one two three four", price=10, fault="cut", fault_after=3)
    cascade = cascade_of(scripted("small", "I do not know.", **UNSURE), large)
    events: list[object] = []
    error = await error_of(cascade.run(2), events)
    assert str(error) == "large: scripted cut after 3 tokens"
    assert isinstance(events[0], Committed)
    assert [event.text for event in events[1:] if isinstance(event, Delta)] == ["one ", "two ", "three "]
    assert verdicts(cascade) == [("small", "climbed"), ("large", "failed")]
    assert cascade.attempts[1].usage == Usage(6, 3)


async def test_a_bug_in_a_judge_leaves_no_stream_open() -> None:
    small = scripted("small", "I do not know that.", **UNSURE)
    cascade = cascade_of(small, scripted("large", "x"))
    cascade._judge = lambda card, evidence, is_whole: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await run(cascade, 2)
    await eventually(lambda: small.running == 0)


async def test_empty_chunks_are_not_yet_a_token() -> None:
    role = Delta(usage=Usage(6, 0))
    large = ToldBackend("large", role, role, error=BackendUnavailableError("large: gone"))
    cascade = cascade_of(scripted("small", "I think it is Paris.", **UNSURE), large)
    assert (await run(cascade, 2)).text() == "I think it is Paris."


@MODES
async def test_a_judge_with_a_bug_leaves_nothing_running(hold_tokens: int | None) -> None:
    def broken(*_: object) -> float:
        raise ZeroDivisionError

    endless = ScriptedBackend(member("small", {"answer": "word " * 1000}))
    cascade = cascade_of(endless, scripted("large", "x"))
    cascade._judge = broken
    try:
        await run(cascade, hold_tokens)
    except ZeroDivisionError:
        assert endless.running == 0
        assert [(a.verdict, a.why) for a in cascade.attempts] == [
            ("failed", "could not be judged (ZeroDivisionError)")
        ]
    else:
        pytest.fail("a bug is not hidden")
