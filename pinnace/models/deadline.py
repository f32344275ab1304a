"""Until when something is waited for: one timer, however many waits it bounds.

Knows nothing of what is waited for, or of what its lateness means.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from pinnace.errors import BackendTimeoutError, DeadlineExceededError
from pinnace.models.completion import Delta

_T = TypeVar("_T")
FOREVER = float("inf")


class Watch:
    """Bounds a run of waits by one moment, which may be put off between them.

    A wait costs no timer of its own: `asyncio.timeout` around each of them would, for every token. For one
    task at a time. Close it, or its timer keeps what it watches alive.

    :param until: a moment of `time.monotonic`; `FOREVER` for no bound.
    """

    def __init__(self, until: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = until
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = FOREVER
        self._task: asyncio.Task[object] | None = None
        self._has_rung = False

    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self._until

    def put_off(self, until: float) -> None:
        """Wait until that moment from now on, be it later or earlier."""
        self._until = until
        if until < self._armed_for and self._timer is not None:
            self._disarm()

    async def wait(self, work: Awaitable[_T]) -> _T:
        """What `work` comes to; raises `TimeoutError` at the moment, `work` being cancelled."""
        task = asyncio.current_task()
        assert task is not None, "only a task can wait"
        cancels = task.cancelling()
        if self._timer is None and self._until != FOREVER:
            self._arm()
        self._task = task
        try:
            return await work
        except asyncio.CancelledError:
            if self._has_rung and task.cancelling() <= cancels + 1:
                raise TimeoutError from None
            raise
        finally:
            self._task = None
            if self._has_rung:
                self._has_rung = False
                task.uncancel()

    def close(self) -> None:
        """Give the timer up."""
        self._until = FOREVER
        self._disarm()

    def _arm(self) -> None:
        self._armed_for = self._until
        left = max(0.0, self._until - time.monotonic())
        self._timer = self._loop.call_later(left, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed_for = None, FOREVER

    def _ring(self) -> None:
        """Interrupt who waits; where the moment was put off, or nobody waits, that is for the next wait."""
        self._timer, self._armed_for = None, FOREVER
        if self._task is None:
            return
        if not self.is_over():
            self._arm()
        else:
            self._has_rung = True
            self._task.cancel()


def exceeded(name: str) -> DeadlineExceededError:
    """The error of a request whose time was over while `name` was asked."""
    return DeadlineExceededError(f"{name}: the request's deadline passed")


async def unstalled(
    deltas: AsyncGenerator[Delta, None], name: str, first_token_s: float | None, stall_s: float | None
) -> AsyncGenerator[Delta, None]:
    """The same deltas, from a backend that may take only so long for the first and for each one after.

    :raises BackendTimeoutError: where it takes longer; what runs is aborted.
    """
    watch = Watch(_from_now(first_token_s))
    what = f"no token within {first_token_s} s"
    try:
        async with aclosing(deltas):
            while (delta := await watch.wait(anext(deltas, None))) is not None:
                yield delta
                watch.put_off(_from_now(stall_s))
                what = f"nothing for {stall_s} s"
    except TimeoutError:
        raise BackendTimeoutError(f"{name}: {what}") from None
    finally:
        watch.close()


def _from_now(seconds: float | None) -> float:
    return FOREVER if seconds is None else time.monotonic() + seconds
