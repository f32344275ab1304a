"""Any route over any mixture of good and broken models, stopped at any point."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import ASKED, cascade_of, run, verdicts
from server_fixtures import member

from pinnace.errors import BackendError
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Answered
from pinnace.router.cascade import Cascade

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
