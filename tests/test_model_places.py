"""Places: who runs, who waits, who is next: interactive before batch, and neither for ever."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_fixtures import eventually

from pinnace.models.places import AGING_S, BATCH, INTERACTIVE, Places, PlacesFullError, due_ms


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def few(clock: Clock | None = None, **bounds: float) -> Places:
    return Places(
        **{"max_running": 1, "max_tokens": 100, "max_waiting": 10, **bounds}, clock=clock or Clock()
    )


class Visit:
    """One that comes, and goes when it is told to; `log` is who has come in, in order."""

    def __init__(self, places: Places, name: str, log: list[str], tokens: int, priority: int) -> None:
        self._done = asyncio.Event()
        self.task = asyncio.create_task(self._visit(places, name, log, tokens, priority))

    async def _visit(self, places: Places, name: str, log: list[str], tokens: int, priority: int) -> None:
        taken = await places.enter(tokens, priority)
        try:
            log.append(name)
            await self._done.wait()
        finally:
            places.leave(taken, priority)

    async def leave(self) -> None:
        self._done.set()
        await self.task


async def come(places: Places, name: str, log: list[str], tokens: int = 1) -> Visit:
    """Come with what is asked; names that begin with b are batch."""
    visit = Visit(places, name, log, tokens, BATCH if name.startswith("b") else INTERACTIVE)
    for _ in range(3):
        await asyncio.sleep(0)
    return visit


async def test_interactive_goes_before_batch_and_each_in_order_of_arrival() -> None:
    places, log = few(), list[str]()
    visits = [await come(places, name, log) for name in ("i0", "b1", "b2", "i1", "i2")]
    assert (places.running, places.waiting) == (1, 4)
    for position in (0, 3, 4, 1, 2):
        await visits[position].leave()
    assert log == ["i0", "i1", "i2", "b1", "b2"]
    assert (places.running, places.tokens, places.waiting) == (0, 0, 0)


async def test_batch_ages_so_that_a_flood_of_interactive_requests_does_not_starve_it() -> None:
    clock, log = Clock(), list[str]()
    places = few(clock)
    running, batch = await come(places, "i0", log), await come(places, "b", log)
    for number in range(1, 8):
        clock.now += AGING_S / 5
        newcomer = await come(places, f"i{number}", log)
        await running.leave()
        if log[-1] == "b":
            break
        running = newcomer
    assert log == ["i0", "i1", "i2", "i3", "i4", "i5", "b"]
    assert clock.now <= AGING_S + AGING_S / 5
    await batch.leave()
    await newcomer.leave()


async def test_batch_holds_no_more_than_its_share_and_interactive_finds_a_place() -> None:
    places, log = few(max_running=4, batch_share=0.5), list[str]()
    visits = [await come(places, name, log) for name in ("b1", "b2", "b3", "i1", "i2", "i3")]
    assert log == ["b1", "b2", "i1", "i2"]
    await visits[3].leave()
    assert log[4:] == ["i3"]
    await visits[0].leave()
    assert log[5:] == ["b3"]
    for visit in (visits[1], visits[2], visits[4], visits[5]):
        await visit.leave()
    assert (places.running, places.tokens, places.waiting) == (0, 0, 0)


async def test_batch_tokens_have_their_share_too() -> None:
    places, log = few(max_running=9, batch_share=0.5), list[str]()
    large = await come(places, "b1", log, tokens=1000)
    assert places.tokens == 50
    waiting = await come(places, "b2", log, tokens=1)
    interactive = await come(places, "i1", log, tokens=50)
    assert log == ["b1", "i1"]
    for visit in (large, interactive, waiting):
        await visit.leave()
    assert log == ["b1", "i1", "b2"]


async def test_batch_cannot_fill_the_queue() -> None:
    places, log = few(max_waiting=4, batch_share=0.5), list[str]()
    visits = [await come(places, name, log) for name in ("i0", "b1", "b2")]
    assert places.is_full(BATCH)
    assert not places.is_full(INTERACTIVE)
    with pytest.raises(PlacesFullError):
        await places.enter(1, BATCH)
    visits += [await come(places, name, log) for name in ("i1", "i2")]
    with pytest.raises(PlacesFullError):
        await places.enter(1, INTERACTIVE)
    assert places.waiting == 4
    for visit in (visits[0], visits[3], visits[4], visits[1], visits[2]):
        await visit.leave()


async def test_more_room_lets_the_waiting_in_and_less_sends_nobody_away() -> None:
    places, log = few(), list[str]()
    visits = [await come(places, f"i{number}", log) for number in range(4)]
    places.resize(max_running=3, max_tokens=100, max_waiting=10)
    await eventually(lambda: len(log) == 3)
    places.resize(max_running=1, max_tokens=100, max_waiting=0)
    assert (places.running, places.waiting) == (3, 1)
    for visit in visits[:3]:
        await visit.leave()
    await eventually(lambda: log[-1] == "i3")
    await visits[3].leave()


async def test_one_that_became_too_large_while_it_waited_is_let_in_alone() -> None:
    places, log = few(), list[str]()
    first, large = await come(places, "i0", log), await come(places, "i1", log, tokens=90)
    places.resize(max_running=1, max_tokens=10, max_waiting=10)
    await first.leave()
    await eventually(lambda: log == ["i0", "i1"])
    assert places.tokens == 10
    await large.leave()
    assert places.tokens == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["i", "b", "cancel", "leave", "breathe", "wait"]), st.integers(0, 150)),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(1, 4), st.integers(0, 4), st.sampled_from([0.25, 0.75, 1.0]))
def test_whoever_comes_and_goes_every_place_comes_back(
    steps: list[tuple[str, int]], max_running: int, max_waiting: int, share: float
) -> None:
    asyncio.run(_come_and_go(steps, max_running, max_waiting, share))


async def _come_and_go(
    steps: list[tuple[str, int]], max_running: int, max_waiting: int, share: float
) -> None:
    clock = Clock()
    places = few(clock, max_running=max_running, max_waiting=max_waiting, batch_share=share)
    visits: list[Visit] = []
    for step, value in steps:
        if step in "ib":
            visits.append(Visit(places, step, [], value, BATCH if step == "b" else INTERACTIVE))
        elif step == "breathe":
            await asyncio.sleep(0)
        elif step == "wait":
            clock.now += value
        elif visits:
            visit = visits[value % len(visits)]
            visit.task.cancel() if step == "cancel" else visit._done.set()
        assert places.running <= max_running
        assert places.tokens <= 100
        assert places.waiting <= max_waiting
    for visit in visits:
        visit._done.set()
    async with asyncio.timeout(5):
        endings = await asyncio.gather(*(visit.task for visit in visits), return_exceptions=True)
    assert all(e is None or isinstance(e, PlacesFullError | asyncio.CancelledError) for e in endings)
    assert (places.running, places.tokens, places.waiting) == (0, 0, 0)
    assert (places._batch_running, places._batch_tokens) == (0, 0)


def test_for_the_engine_a_batch_request_is_due_as_much_later_as_it_takes_to_age() -> None:
    assert due_ms(BATCH) - due_ms(INTERACTIVE) == pytest.approx(AGING_S * 1000, abs=100)
