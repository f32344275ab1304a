"""The cascade: who is asked, who answers, and every token charged."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest
from cascade_fixtures import MODES, SURE, UNSURE
from router_fixtures import ASKED, ToldBackend, cascade_of, run, scripted, token, verdicts
from server_fixtures import member

from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Answered, Committed
from pinnace.router.cascade import Cascade
from pinnace.router.route import Route, Rung


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


async def test_the_last_rung_of_a_stream_is_passed_on_from_its_first_token() -> None:
    large = scripted("large", "one two three", token_s=0.001)
    running: list[int] = []
    async for event in cascade_of(large).run(16):
        if isinstance(event, Committed):
            running.append(large.running)
            assert (event.confidence, event.why) == (0.25, "cascade: small first")
    assert running == [1]


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
