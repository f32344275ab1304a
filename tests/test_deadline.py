"""Waiting until a moment: what is late is cancelled, and a cancellation from outside stays one."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from router_fixtures import ASKED, failure_of

from pinnace.config import VllmMember
from pinnace.errors import BackendTimeoutError
from pinnace.models.completion import Delta, Request
from pinnace.models.deadline import FOREVER, Watch, unstalled
from pinnace.models.vllm_backend import VllmBackend
from pinnace.router.draft import Draft


async def soon(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def later(seconds: float) -> float:
    return time.monotonic() + seconds


async def test_what_is_in_time_comes_back() -> None:
    watch = Watch(later(5))
    assert [await watch.wait(soon(0)) for _ in range(3)] == ["done"] * 3
    watch.close()


async def test_what_is_late_is_cancelled() -> None:
    watch = Watch(later(0.02))
    work = asyncio.ensure_future(soon(5))
    assert isinstance(await failure_of(watch.wait(work)), TimeoutError)
    assert work.cancelled()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_moment_may_be_put_off_and_brought_near() -> None:
    watch = Watch(later(0.05))
    watch.put_off(later(5))
    assert await watch.wait(soon(0.1)) == "done"
    watch.put_off(later(0.02))
    assert isinstance(await failure_of(watch.wait(soon(5))), TimeoutError)


async def test_one_that_has_rung_may_be_used_again() -> None:
    watch = Watch(later(0.01))
    assert isinstance(await failure_of(watch.wait(soon(5))), TimeoutError)
    watch.put_off(later(5))
    assert await watch.wait(soon(0.01)) == "done"
    watch.close()


async def test_time_between_two_waits_interrupts_nobody() -> None:
    watch = Watch(later(0.02))
    assert await watch.wait(soon(0)) == "done"
    await asyncio.sleep(0.05)
    assert watch.is_over()
    assert isinstance(await failure_of(watch.wait(soon(5))), TimeoutError)


async def test_a_cancellation_from_outside_stays_one() -> None:
    watch = Watch(later(5))
    task = asyncio.create_task(watch.wait(soon(5)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()


async def test_cancelled_from_outside_at_the_same_moment_it_stays_a_cancellation() -> None:
    watch = Watch(later(0))
    task = asyncio.create_task(watch.wait(soon(5)))
    await asyncio.sleep(0)
    watch._ring()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()


async def test_inside_a_timeout_of_asyncio_both_keep_their_word() -> None:
    watch = Watch(later(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await watch.wait(soon(5))
    watch.put_off(later(0.02))
    async with asyncio.timeout(5):
        assert isinstance(await failure_of(watch.wait(soon(5))), TimeoutError)
    assert await soon(0.01) == "done"


async def test_for_ever_has_no_timer() -> None:
    watch = Watch(FOREVER)
    assert await watch.wait(soon(0)) == "done"
    assert watch._timer is None
    assert not watch.is_over()


async def spoken(*waits: float) -> AsyncGenerator[Delta, None]:
    for wait in waits:
        await asyncio.sleep(wait)
        yield Delta("word ")


@pytest.mark.parametrize(
    ("waits", "said"),
    [((0.0, 5.0), "engine: nothing for 0.05 s"), ((5.0,), "engine: no token within 0.1 s")],
)
async def test_an_engine_that_stalls_is_left(waits: tuple[float, ...], said: str) -> None:
    async def read() -> list[Delta]:
        return [delta async for delta in unstalled(spoken(*waits), "engine", 0.1, 0.05)]

    error = await failure_of(read())
    assert isinstance(error, BackendTimeoutError)
    assert str(error) == said


async def test_without_bounds_an_engine_may_be_slow() -> None:
    deltas = [delta async for delta in unstalled(spoken(0.02, 0.02), "engine", None, None)]
    assert len(deltas) == 2


class StalledEngine(VllmBackend):
    """A local backend whose engine says one word and no more."""

    async def _stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        yield Delta("word ")
        await asyncio.Event().wait()


async def test_a_local_engine_may_be_given_bounds() -> None:
    fields = {"name": "local", "backend": "vllm", "weights": ["/nowhere"], "engine": {"stall_s": 0.05}}
    backend = StalledEngine(VllmMember.model_validate(fields))
    draft = Draft(backend, ASKED)
    error = await failure_of(draft.hold(None))
    assert isinstance(error, BackendTimeoutError)
    assert (draft.text(), str(error)) == ("word ", "local: nothing for 0.05 s")
