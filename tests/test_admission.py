"""Admission: what runs, what waits, what is refused, and that every place comes back."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_fixtures import eventually

from pinnace.config import Server
from pinnace.server.admission import Admission
from pinnace.server.envelope import RefusedError, refused

DRAINING = refused(503, "stopping", code="draining", retry_after=3).envelope


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def small(**bounds: int) -> Admission:
    return Admission(**{"max_running": 1, "max_tokens": 100, "max_queue": 1, **bounds})


async def occupy(
    admission: Admission, tokens: int, until: asyncio.Event, log: list[int] | None = None
) -> None:
    async with admission.slot(tokens):
        if log is not None:
            log.append(tokens)
        await until.wait()


def test_the_configured_bounds_are_taken() -> None:
    admission = Admission.from_config(Server(max_running=2, max_queue=3, max_tokens_in_flight=4))
    assert (admission.max_running, admission.max_queue, admission.max_tokens) == (2, 3, 4)


async def test_who_finds_room_does_not_wait() -> None:
    admission = small(max_running=2)
    async with admission.slot(10), admission.slot(20):
        assert (admission.running, admission.tokens, admission.queued) == (2, 30, 0)
    assert (admission.running, admission.tokens) == (0, 0)


async def test_beyond_the_queue_is_refused_with_429() -> None:
    admission = small()
    done = asyncio.Event()
    tasks = [asyncio.create_task(occupy(admission, 1, done)) for _ in range(2)]
    await eventually(lambda: admission.queued == 1)
    with pytest.raises(RefusedError, match="1 requests run and 1 wait") as caught:
        async with admission.slot(1):
            pass
    envelope = caught.value.envelope
    assert (envelope.status, envelope.type, envelope.code) == (429, "rate_limit_error", "queue_full")
    assert envelope.retry_after == 2
    with pytest.raises(RefusedError):
        admission.check()
    done.set()
    await asyncio.gather(*tasks)
    admission.check()


async def test_without_a_queue_nobody_waits() -> None:
    admission = small(max_queue=0)
    async with admission.slot(1):
        with pytest.raises(RefusedError):
            await admission.slot(1).__aenter__()
    async with admission.slot(1):
        assert admission.running == 1


async def test_first_come_first_served_even_past_a_large_one() -> None:
    admission = small(max_running=3, max_queue=9)
    first, done, log = asyncio.Event(), asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(occupy(admission, 60, first, log))]
    await eventually(lambda: admission.running == 1)
    tasks += [asyncio.create_task(occupy(admission, tokens, done, log)) for tokens in (70, 10, 20)]
    await eventually(lambda: admission.queued == 3)
    assert log == [60]
    first.set()
    await eventually(lambda: admission.queued == 0)
    assert log == [60, 70, 10, 20]
    done.set()
    await asyncio.gather(*tasks)


async def test_one_that_is_too_large_runs_alone() -> None:
    admission = small(max_running=5)
    async with admission.slot(1_000_000):
        assert admission.tokens == 100
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), admission.slot(1):
                pass
    assert (admission.running, admission.tokens, admission.queued) == (0, 0, 0)


async def test_a_cancelled_wait_leaves_the_queue_and_lets_the_next_in() -> None:
    admission = small(max_running=2, max_queue=5)
    done, log = asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(occupy(admission, tokens, done, log)) for tokens in (60, 70, 10)]
    await eventually(lambda: admission.queued == 2)
    tasks[1].cancel()
    await eventually(lambda: log == [60, 10])
    done.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (admission.running, admission.tokens, admission.queued) == (0, 0, 0)


async def test_a_place_given_in_the_moment_of_cancelling_comes_back_once() -> None:
    admission = small()
    first = asyncio.Event()
    holder = asyncio.create_task(occupy(admission, 1, first))
    waiter = asyncio.create_task(occupy(admission, 1, asyncio.Event()))
    await eventually(lambda: admission.queued == 1)
    first.set()
    await holder  # gave its place to the waiter, which has not run since
    assert (admission.running, admission.queued) == (1, 0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert (admission.running, admission.tokens) == (0, 0)


async def test_once_closed_new_ones_hear_why_and_waiting_ones_are_served() -> None:
    admission = small()
    first, log = asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(occupy(admission, tokens, first, log)) for tokens in (1, 2)]
    await eventually(lambda: admission.queued == 1)
    admission.close(DRAINING)
    assert admission.is_closed()
    for refuse in (admission.check, admission.slot(1).__aenter__):
        with pytest.raises(RefusedError, match="stopping") as caught:
            await (refuse() or asyncio.sleep(0))
        assert caught.value.envelope.status == 503
    first.set()
    await asyncio.gather(*tasks)
    assert log == [1, 2]


async def test_retry_after_follows_how_long_requests_take() -> None:
    clock = Clock()
    admission = Admission(max_running=2, max_tokens=100, max_queue=0, clock=clock)
    assert admission.retry_after() == 1
    async with admission.slot(1):
        clock.now += 10
    assert admission.retry_after() == 5
    for _ in range(50):
        async with admission.slot(1):
            clock.now += 1000
    assert admission.retry_after() == 60


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 150)),
        st.tuples(st.sampled_from(["cancel", "finish"]), st.integers(0, 20)),
        st.tuples(st.just("breathe"), st.integers(0, 2)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(0, 4))
def test_whatever_comes_and_goes_every_place_comes_back(
    steps: list[tuple[str, int]], max_running: int, max_queue: int
) -> None:
    asyncio.run(come_and_go(steps, max_running, max_queue))


async def come_and_go(steps: list[tuple[str, int]], max_running: int, max_queue: int) -> None:
    admission = small(max_running=max_running, max_queue=max_queue)
    visits: list[tuple[asyncio.Task[None], asyncio.Event]] = []
    for step, value in steps:
        if step == "arrive":
            done = asyncio.Event()
            visits.append((asyncio.create_task(occupy(admission, value, done)), done))
        elif step == "breathe":
            for _ in range(value):
                await asyncio.sleep(0)
        elif visits:
            task, done = visits[value % len(visits)]
            task.cancel() if step == "cancel" else done.set()
        assert admission.running <= max_running
        assert admission.tokens <= 100
        assert admission.queued <= max_queue
    for _, done in visits:
        done.set()
    endings = await asyncio.gather(*(task for task, _ in visits), return_exceptions=True)
    assert all(e is None or isinstance(e, RefusedError | asyncio.CancelledError) for e in endings)
    assert (admission.running, admission.tokens, admission.queued) == (0, 0, 0)
