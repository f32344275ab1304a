"""The cascade: one answer or one error for every request, every token charged, no request lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import ASKED, ToldBackend, cascade_of, failure, run, scripted, token, verdicts
from server_fixtures import eventually, member

from pinnace.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    RequestError,
)
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Answered, Committed
from pinnace.router.cascade import Cascade
from pinnace.router.route import Route, Rung

SURE = {"probability": 0.9}
UNSURE = {"probability": 0.2}
MODES = pytest.mark.parametrize("hold_tokens", [None, 2], ids=["whole", "stream"])


@MODES
async def test_a_sure_answer_is_accepted_and_nothing_else_is_asked(hold_tokens: int | None) -> None:
    small, large = scripted("small", "It is Paris now.", **SURE), scripted("large", "Paris.")
    cascade = cascade_of(small, large)
    ran = await run(cascade, hold_tokens)
    assert (ran.text(), ran.answered.model, ran.answered.escalated) == ("It is Paris now.", "small", False)
    assert ran.answered.why == "accepted: confidence 0.90 is at least 0.50"
    assert ran.answered.usage == Usage(6, 4)
    assert verdicts(cascade) == [("small", "accepted")]
    assert large.requests == []


@MODES
async def test_a_doubted_answer_climbs_and_both_are_charged(hold_tokens: int | None) -> None:
    small = scripted("small", "I do not know that at all.", price=1, **UNSURE)
    large = scripted("large", "It is 42.", price=10)
    cascade = cascade_of(small, large)
    ran = await run(cascade, hold_tokens)
    assert (ran.text(), ran.answered.model, ran.answered.escalated) == ("It is 42.", "large", True)
    assert ran.answered.why == "escalated: small: confidence 0.20 is below 0.50"
    assert verdicts(cascade) == [("small", "climbed"), ("large", "accepted")]
    spoken = 7 if hold_tokens is None else 2
    assert [attempt.usage for attempt in cascade.attempts] == [Usage(6, spoken), Usage(6, 3)]
    assert ran.answered.cost_usd == pytest.approx((6 + spoken + 90) / 1e6)
    assert ran.committed.tried == ("small", "large")


async def test_climbing_aborts_the_draft_in_the_backend_before_the_next_rung_begins() -> None:
    small = scripted("small", "I do not know that at all.", **UNSURE)
    seen: list[tuple[int, int]] = []

    class Watching(ScriptedBackend):
        def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
            seen.append((small.running, small.aborted))
            return super().stream(request)

    await run(cascade_of(small, Watching(member("large", {"answer": "It is 42."}))), 2)
    assert seen == [(0, 1)]


async def test_closing_right_after_the_account_leaves_the_attempt_accepted() -> None:
    cascade = cascade_of(scripted("small", "It is Paris.", **SURE))
    async with aclosing(cascade.run(None)) as events:
        async for event in events:
            if isinstance(event, Answered):
                break
    assert verdicts(cascade) == [("small", "accepted")]


async def test_an_account_thrown_away_in_a_task_that_is_cancelled_stays_accepted() -> None:
    cascade = cascade_of(scripted("small", "It is Paris.", **SURE))
    answered = asyncio.Event()

    async def consume() -> None:
        async with aclosing(cascade.run(None)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    answered.set()
                    await asyncio.sleep(60)

    task = asyncio.create_task(consume())
    await answered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert verdicts(cascade) == [("small", "accepted")]


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


async def test_the_last_rung_of_a_stream_is_passed_on_from_its_first_token() -> None:
    large = scripted("large", "one two three", token_s=0.001)
    running: list[int] = []
    async for event in cascade_of(large).run(16):
        if isinstance(event, Committed):
            running.append(large.running)
            assert (event.confidence, event.why) == (0.25, "cascade: small first")
    assert running == [1]


async def test_empty_chunks_are_not_yet_a_token() -> None:
    role = Delta(usage=Usage(6, 0))
    large = ToldBackend("large", role, role, error=BackendUnavailableError("large: gone"))
    cascade = cascade_of(scripted("small", "I think it is Paris.", **UNSURE), large)
    assert (await run(cascade, 2)).text() == "I think it is Paris."


async def test_a_pinned_model_says_that_it_was_named() -> None:
    backend = scripted("large", "It is 42.")
    route = Route((Rung("large"),), "pinned", "the request names large")
    ran = await run(Cascade(ASKED, route, {"large": backend}, lambda *_: 0.7))
    assert (ran.answered.why, ran.answered.confidence) == ("pinned: the request names large", 0.7)


async def test_all_choices_of_a_doubted_stream_are_charged_and_of_an_accepted_one_passed_on() -> None:
    request = replace(ASKED, n=3)
    small, large = scripted("small", "a b c", **UNSURE), scripted("large", "It is 42.")
    cascade = cascade_of(small, large, request=request)
    ran = await run(cascade, 2)
    assert [ran.text(i) for i in range(3)] == ["It is 42."] * 3
    assert cascade.attempts[0].usage == Usage(6, 8), "two whole choices, and two tokens of the last"
    assert ran.answered.usage == Usage(6, 9)


@pytest.mark.parametrize(("hold_tokens", "expected"), [(None, 0.25), (2, 0.25)])
async def test_without_evidence_the_confidence_is_the_routers_estimate(
    hold_tokens: int | None, expected: float
) -> None:
    deltas = [Delta("a "), Delta("b "), Delta("c"), Delta(finish_reason="stop", usage=Usage(6, 3))]
    ran = await run(cascade_of(ToldBackend("small", *deltas), bar=0.2), hold_tokens)
    assert (ran.answered.confidence, ran.text()) == (expected, "a b c")


async def test_the_count_that_comes_after_the_last_word_is_charged() -> None:
    deltas = [
        Delta("Paris", logprobs=(token("Paris"),)),
        Delta(finish_reason="stop"),
        Delta(usage=Usage(7, 5)),
    ]
    ran = await run(cascade_of(ToldBackend("small", *deltas), scripted("large", "x")), 1)
    assert ran.answered.usage == Usage(7, 5)


# Any route over any mixture of good and broken models, stopped at any point.

WORDS = "one two three four five six seven eight"


class Counting(ScriptedBackend):
    """A scripted backend that writes down the last count that each of its streams told."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.told: list[Usage] = []

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        place = len(self.told)
        self.told.append(Usage())
        async with aclosing(super().stream(request)) as deltas:
            async for delta in deltas:
                self.told[place] = delta.usage or Usage()
                yield delta


@st.composite
def backends_of(draw: st.DrawFn) -> list[Counting]:
    found: list[Counting] = []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        words = WORDS.split()[: draw(st.integers(0, 6))]
        reply = {
            "answer": " ".join(name + word for word in words),
            "probability": draw(st.sampled_from([0.2, 0.9])),
            "fault": draw(st.sampled_from([None, None, "refuse", "cut"])),
            "fault_after": draw(st.integers(0, 6)),
        }
        found.append(Counting(member(name, reply, price=draw(st.integers(0, 9)))))
    return found


@st.composite
def cascades(draw: st.DrawFn) -> tuple[Cascade, list[Counting], int | None]:
    backends = draw(backends_of())
    request = replace(ASKED, n=draw(st.integers(1, 3)), max_tokens=draw(st.sampled_from([3, 512])))
    fallbacks = draw(st.integers(0, len(backends) - 1))
    hold_tokens = draw(st.none() | st.integers(1, 5))
    return cascade_of(*backends, fallbacks=fallbacks, request=request), backends, hold_tokens


def check_charges(cascade: Cascade, backends: list[Counting]) -> None:
    """Every stream that was begun is charged for what it told, and none is left open."""
    for backend in backends:
        charged = [attempt for attempt in cascade.attempts if attempt.model == backend.card.name]
        assert [attempt.usage for attempt in charged] == backend.told
        assert [attempt.cost_usd for attempt in charged] == [card_cost(backend, u) for u in backend.told]
        assert backend.running == 0
    assert sum(verdict == "accepted" for _, verdict in verdicts(cascade)) <= 1


def card_cost(backend: Counting, usage: Usage) -> float:
    return backend.card.cost(usage)


@given(cascades())
def test_every_request_has_one_answer_or_one_error(
    found: tuple[Cascade, list[Counting], int | None],
) -> None:
    cascade, backends, hold_tokens = found
    sound = {b.card.name for b in backends if b.script[0].fault is None}
    try:
        ran = asyncio.run(run(cascade, hold_tokens))
    except BackendError:
        assert cascade.committed is not None or not sound
        assert hold_tokens is not None or not sound
        assert all(verdict != "accepted" for _, verdict in verdicts(cascade))
    else:
        said = next(b for b in backends if b.card.name == ran.answered.model).script[0].answer
        spoken = [word + " " for word in said.split()][: cascade.request.max_tokens]
        for index in range(cascade.request.n):
            assert ran.text(index).split() == "".join(spoken).split()
        assert ran.committed.model == ran.answered.model
        assert ran.answered.cost_usd == pytest.approx(sum(a.cost_usd for a in cascade.attempts))
        assert 0 <= ran.committed.spent_usd <= ran.answered.cost_usd + 1e-12
        assert ran.answered.attempts == tuple(cascade.attempts)
        (accepted,) = [attempt for attempt in cascade.attempts if attempt.verdict == "accepted"]
        assert (accepted.model, accepted.usage) == (ran.answered.model, ran.answered.usage)
    check_charges(cascade, backends)


@given(cascades(), st.integers(0, 40))
def test_a_cancelled_request_leaves_nothing_running_and_charges_what_was_spent(
    found: tuple[Cascade, list[Counting], int | None], steps: int
) -> None:
    cascade, backends, hold_tokens = found

    async def cancel() -> None:
        task = asyncio.create_task(run(cascade, hold_tokens))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError, BackendError):
            await task

    asyncio.run(cancel())
    check_charges(cascade, backends)


@given(cascades(), st.integers(0, 12))
def test_a_consumer_that_stops_reading_leaves_nothing_running(
    found: tuple[Cascade, list[Counting], int | None], most: int
) -> None:
    cascade, backends, hold_tokens = found

    async def read() -> list[object]:
        events: list[object] = []
        async with aclosing(cascade.run(hold_tokens)) as stream:
            async for event in stream:
                events.append(event)
                if len(events) > most:
                    break
        return events

    with suppress(BackendError):
        events = asyncio.run(read())
        is_answered = isinstance(events[-1], Answered)
        assert is_answered == any(verdict == "accepted" for _, verdict in verdicts(cascade))
    check_charges(cascade, backends)


def test_a_card_prices_both_ways() -> None:
    card = card_of(member("a", {"answer": "x"}, price=2), backend="scripted")
    assert card.cost(Usage(1_000_000, 500_000)) == 3


@MODES
async def test_what_was_climbed_past_is_told_with_its_text_bar_and_evidence(hold_tokens: int | None) -> None:
    small, large = scripted("small", "I do not know.", **UNSURE), scripted("large", "It is 42.")
    cascade = cascade_of(small, large)
    await run(cascade, hold_tokens)
    doubted, answer = cascade.attempts
    is_whole = hold_tokens is None
    assert doubted.text == ("I do not know." if is_whole else "I do ")
    assert (doubted.bar, doubted.is_whole, list(doubted.evidence)) == (
        0.5,
        is_whole,
        ["whole" if is_whole else "prefix"],
    )
    assert (answer.bar, answer.is_whole, answer.text) == (None, True, None)
    assert "whole" in answer.evidence
