"""Fleets as pipelines see them: items one by one, and a script that can be told from a wrong one."""

import asyncio
from collections.abc import Generator

import pytest

from pinnace.agents.scripted_fleet import Say, ScriptedFleet
from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.errors import StepError


async def shout(run: Session, item: int) -> int:
    await asyncio.sleep(0.001)
    return item


@pytest.mark.parametrize("at_once", [0, -1])
async def test_a_map_that_runs_nothing_is_refused(at_once: int) -> None:
    with pytest.raises(StepError, match=f"at_once of at least 1, got {at_once}"):
        await ScriptedFleet().map(shout, [1, 2], at_once=at_once)


async def test_items_are_taken_one_by_one_as_places_get_free() -> None:
    ahead = list[int]()
    done = list[int]()

    def items() -> Generator[int, None, None]:
        for item in range(20):
            ahead.append(item - len(done))
            yield item

    async def note(run: Session, item: int) -> int:
        await asyncio.sleep(0.001 * (item % 3))
        done.append(item)
        return 2 * item

    assert await ScriptedFleet().map(note, items(), at_once=3) == [2 * item for item in range(20)]
    assert max(ahead) <= 3
    assert await ScriptedFleet().map(note, [], at_once=3) == []


async def test_items_that_end_in_an_error_end_the_map() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await ScriptedFleet().map(shout, items())


def test_a_line_of_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(StepError, match=r"of scripted-small, scripted-large; got .*'typo'"):
        ScriptedFleet(Say(model="typo"))


async def test_a_block_gives_the_fleet_itself() -> None:
    async with ScriptedFleet(Say("yes")) as fleet:
        await fleet.ask(Step(), "?")
        assert len(fleet.requests) == 1
