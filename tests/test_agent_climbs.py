"""Answers that cannot be taken, on the scripted fleet: who is asked next, and what is left of it."""

import asyncio

import pytest
from session_fixtures import breaks, weather

from pinnace.agents.limits import Limits
from pinnace.agents.scripted_fleet import SMALL, Say, ScriptedFleet
from pinnace.agents.step import Step
from pinnace.agents.voting import vote
from pinnace.errors import (
    BackendUnavailableError,
    OutputError,
    ToolArgumentsError,
)


async def test_models_that_only_call_tools_are_stopped() -> None:
    call = {"weather": '{"city": "Oslo"}'}
    fleet = ScriptedFleet(Say(calls=call, times=None), Say(calls=call, times=None, model="scripted-large"))
    async with fleet.session() as run:
        with pytest.raises(OutputError, match="max_turns=3"):
            await run.ask(Step("Tell.", tools=[weather], max_turns=3), "Oslo?")
    assert (len(fleet.requests), run.spent.tool_calls) == (6, 4)


@pytest.mark.parametrize("name", ["weather", "x" * 1_000_000])
async def test_a_call_that_cannot_be_climbs(name: str) -> None:
    wrong = Say(calls={name: '{"town": "Oslo"}'})
    fleet = ScriptedFleet(wrong, Say("rain", model="scripted-large"))
    async with fleet.session() as run:
        answer = await run.answer(Step("Tell.", tools=[weather]), "Oslo?")
    assert (answer.value, answer.rungs, run.spent.escalations) == ("rain", 2, 1)
    assert max(len(span.error or "") for span in run.trace.spans()) < 1_000


async def test_a_call_that_cannot_be_is_told_where_nobody_is_above() -> None:
    fleet = ScriptedFleet(Say(calls={"weather": '{"town": "Oslo"}'}))
    async with fleet.session() as run:
        with pytest.raises(ToolArgumentsError, match="town"):
            await run.ask(Step("Tell.", tools=[weather], model="scripted-small"), "Oslo?")


async def test_one_conversation_that_fails_is_one_vote_less() -> None:
    fleet = ScriptedFleet(
        Say(calls={"weather": '{"town": "Oslo"}'}), Say("rain"), Say("rain"), members=[SMALL]
    )
    async with fleet.session() as run:
        answer = await run.answer(Step("Tell.", tools=[weather], strategy=vote(3)), "Oslo?")
    assert (answer.value, answer.confidence) == ("rain", pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("above", "limits"),
    [
        (Say(calls={"weather": '{"city": "Oslo"}'}, model="scripted-large", times=None), Limits()),
        (Say(calls={"weather": "{"}, model="scripted-large", times=None), Limits()),
        (Say(calls={"breaks": '{"city": "Oslo"}'}, model="scripted-large", times=None), Limits()),
        (Say('{"answer": 3}', model="scripted-large", times=None), Limits(requests=2)),
        (Say('{"answer": 3}', model="scripted-large", times=None), Limits(requests=3)),
        (Say(fault=BackendUnavailableError("gone"), model="scripted-large", times=None), Limits()),
    ],
    ids=["only calls", "bad arguments", "a tool that raises", "no call left", "one call left", "it is gone"],
)
async def test_a_dearer_model_that_fails_costs_no_answer(above: Say, limits: Limits) -> None:
    fleet = ScriptedFleet(Say('{"answer": 1}'), Say('{"answer": 2}'), above)
    step = Step("Count.", output=int, tools=[weather, breaks], strategy=vote(2), accept=0.9, max_turns=1)
    async with fleet.session(limits) as run:
        answer = await run.answer(step, "How many?")
    assert (answer.value, answer.confidence) == (1, 0.5)


async def test_a_climb_is_one_escalation_however_many_calls_it_takes() -> None:
    fleet = ScriptedFleet(
        Say("many"),
        Say(calls={"weather": '{"city": "Oslo"}'}, model="scripted-large"),
        Say('{"answer": 3}', model="scripted-large"),
    )
    async with fleet.session(Limits(escalations=1)) as run:
        assert await run.ask(Step("Count.", output=int, tools=[weather]), "How many?") == 3
        assert run.spent.escalations == 1


async def test_asks_side_by_side_share_the_escalations_and_lose_no_answer() -> None:
    fleet = ScriptedFleet(
        *(Say(f'{{"answer": {at % 2}}}', when=f"item {at // 2}.") for at in range(128)),
        Say('{"answer": 7}', model="scripted-large", times=None, seconds=0.01),
    )
    step = Step("Count.", output=int, tools=[weather], strategy=vote(2), accept=0.9)
    async with fleet.session(Limits(escalations=5)) as run:
        values = await asyncio.gather(*(run.ask(step, f"item {at}.") for at in range(64)))
        assert run.spent.escalations == 5
    assert sorted(values) == [0] * 59 + [7] * 5
