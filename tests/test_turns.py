"""Who runs together and who alone: never both, in order, and nothing is left behind."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.turns import Turns


async def take(turns: Turns, seen: list[str], name: str, seconds: float = 0.01, **how: object) -> None:
    async with turns.turn(**how):
        seen.append(f"+{name}")
        await asyncio.sleep(seconds)
        seen.append(f"-{name}")


async def test_many_run_together() -> None:
    turns, seen = Turns(), []
    await asyncio.gather(*(take(turns, seen, name) for name in "ab"))
    assert seen == ["+a", "+b", "-a", "-b"]


async def test_one_alone_waits_for_all_before_it_and_all_after_it_wait() -> None:
    turns, seen = Turns(), []
    hows = {"a": False, "b": False, "c": True, "d": True, "e": False, "f": False}
    await asyncio.gather(*(take(turns, seen, name, alone=alone) for name, alone in hows.items()))
    assert seen == ["+a", "+b", "-a", "-b", "+c", "-c", "+d", "-d", "+e", "+f", "-e", "-f"]


async def test_one_that_is_alone_too_long_gets_company() -> None:
    turns, seen = Turns(), []
    slow = take(turns, seen, "slow", 0.2, alone=True, alone_s=0.02)
    await asyncio.gather(slow, take(turns, seen, "quick"), take(turns, seen, "alone", alone=True))
    assert seen == ["+slow", "+quick", "-quick", "-slow", "+alone", "-alone"]


async def test_company_that_came_late_does_not_open_the_door_of_the_next_one() -> None:
    turns, seen = Turns(), []
    first = asyncio.create_task(take(turns, seen, "first", 0.05, alone=True, alone_s=0.01))
    await asyncio.sleep(0.02)
    later = [take(turns, seen, "second", 0.05, alone=True), take(turns, seen, "third")]
    await asyncio.gather(first, *later)
    assert seen == ["+first", "-first", "+second", "-second", "+third", "-third"]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_however_many_are_cancelled_nothing_is_left_and_alone_is_alone(plan: list[tuple[bool, bool]]) -> None:
    async def play() -> None:
        turns, alone_now, most = Turns(), 0, 0

        async def one(alone: bool) -> None:
            nonlocal alone_now, most
            async with turns.turn(alone=alone):
                assert not alone_now
                alone_now += alone
                most = max(most, turns.running)
                assert not alone or turns.running == 1
                await asyncio.sleep(0)
                alone_now -= alone

        tasks = [asyncio.create_task(one(alone)) for alone, _ in plan]
        await asyncio.sleep(0)
        for task, (_, is_cancelled) in zip(tasks, plan, strict=True):
            if is_cancelled and not task.done():
                alone_now -= 0
                task.cancel()
        for task in tasks:
            await asyncio.wait({task})
        assert turns.running == 0
        async with asyncio.timeout(1), turns.turn(alone=True):
            assert turns.running == 1

    asyncio.run(play())
