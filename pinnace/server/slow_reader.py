"""Slow readers: a client that takes nothing for too long is cut, so that it does not hold its place for ever.

One timer a stream looks a few times per timeout whether a write has been waiting all along: nothing is done
per write but to count it. What the kernel still holds for a client is bounded by its own timer
(`TCP_USER_TIMEOUT`, `pinnace.server.protocol`). Knows nothing of what is written.
"""

import asyncio

from pinnace.server.envelope import ClientGoneError
from pinnace.server.lifeline import Lifeline

LOOKS = 4
"""Looks per timeout: a client is cut after one timeout to one and a quarter."""


class SlowReaderError(ClientGoneError):
    """The client took nothing of its answer for too long."""


class SlowReader:
    """Watches one stream. Count in `begun` and `done` what is written; `stop` it when all is sent."""

    def __init__(self, lifeline: Lifeline, seconds: float) -> None:
        self.begun = 0
        self.done = 0
        self._lifeline = lifeline
        self._seconds = seconds
        self._stuck = -1
        self._looks = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds / LOOKS, self._look)

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._lifeline.timer is None:  # the request is over
            return
        is_waiting = self.begun > self.done
        self._looks = self._looks + 1 if is_waiting and self.done == self._stuck else 0
        self._stuck = self.done
        if self._looks >= LOOKS:
            self._lifeline.cut(SlowReaderError(f"the client took nothing for {self._seconds:g} s"))
        else:
            self._timer = self._loop.call_later(self._seconds / LOOKS, self._look)
