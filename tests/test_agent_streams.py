"""Steps whose answers are streamed, on the scripted fleet."""

import asyncio

import pytest
from session_fixtures import BAD, GOOD, TICKET, until, weather

from pinnace.agents.answer import Escalated, Final, Text, ToolCalled
from pinnace.agents.scripted_fleet import LARGE, Say, ScriptedFleet
from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.errors import BackendUnavailableError


async def events_of(run: Session, step: Step[str], text: str) -> list[object]:
    return [event async for event in run.stream(step, text)]


async def test_free_text_is_streamed_as_it_is_written() -> None:
    fleet = ScriptedFleet(Say("It is Paris."))
    async with fleet.session() as run:
        *pieces, final = await events_of(run, Step(), "The capital?")
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["It", " is", " Paris."]
    assert isinstance(final, Final)
    assert final.answer.value == "It is Paris."


async def test_text_that_could_be_taken_back_comes_once_it_is_settled() -> None:
    fleet = ScriptedFleet(Say(BAD), Say(GOOD, model=LARGE.name))
    async with fleet.session() as run:
        climbed, text, final = [event async for event in run.stream(TICKET, "I lost my card!")]
    assert isinstance(climbed, Escalated)
    assert climbed.model == LARGE.name
    assert text == Text(GOOD)
    assert isinstance(final, Final)
    assert final.answer.value.urgency == 4


async def test_tool_calls_are_told() -> None:
    fleet = ScriptedFleet(Say(calls={"weather": '{"city": "Oslo"}'}), Say("It rains."))
    async with fleet.session() as run:
        first, *_, last = await events_of(run, Step("Tell.", tools=[weather]), "Oslo?")
    assert first == ToolCalled("weather", '{"city": "Oslo"}')
    assert isinstance(last, Final)


async def test_a_stream_that_is_left_aborts_its_call() -> None:
    fleet = ScriptedFleet(Say("late", seconds=60))
    async with fleet.session() as run:
        stream = run.stream(Step(), "?")
        asked = asyncio.create_task(anext(stream))
        await until(lambda: fleet.running == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await stream.aclose()
        assert (fleet.running, fleet.aborted) == (0, 1)


async def test_a_stream_raises_what_went_wrong() -> None:
    fleet = ScriptedFleet(Say(fault=BackendUnavailableError("down")))
    async with fleet.session() as run:
        with pytest.raises(BackendUnavailableError):
            await events_of(run, Step(), "?")
