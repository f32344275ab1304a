"""Whose joules: what a meter counts, divided over the answers that were being made meanwhile.

Between two readings everything that runs has an equal part; what is spent while nothing runs is nobody's. So
an answer pays for its time on the machine, and in a batch for its share of it: idle power is in the figure,
and answers of different length in one batch are told apart by their time alone.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import cache

from pinnace.config import FleetMember
from pinnace.errors import MeterError
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, Request
from pinnace.models.energy.meter import Meter, open_meter
from pinnace.models.wrapped import Wrapped

log = logging.getLogger(__name__)

FRESH_S = 0.02
"""A reading is taken again after so long while answers run; where one begins or ends, always."""


class JouleSplit:
    """Divides what `meter` counts. A meter that fails gives nothing from then on."""

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self.idle_joules = 0.0
        self._meter = meter
        self._clock = clock
        self._running = 0
        self._each = 0.0
        self._read_at = clock()
        self._last = meter.read()
        self._is_broken = False

    def enter(self) -> float:
        """An answer begins: the mark to hand to `since` and `leave`."""
        self._settle()
        self._running += 1
        return self._each

    def since(self, mark: float) -> float | None:
        """Joules of an answer so far; None where the meter has failed."""
        if self._clock() - self._read_at >= FRESH_S:
            self._settle()
        return None if self._is_broken else self._each - mark

    def leave(self, mark: float) -> float | None:
        """It is over: its joules, None where the meter has failed."""
        self._settle()
        self._running -= 1
        return None if self._is_broken else self._each - mark

    def _settle(self) -> None:
        if self._is_broken:
            return
        self._read_at = self._clock()
        try:
            now = self._meter.read()
        except MeterError as error:
            log.error("energy is measured no longer: %s", error)
            self._is_broken = True
            return
        spent, self._last = now - self._last, now
        if self._running:
            self._each += spent / self._running
        else:
            self.idle_joules += spent


class MeteredBackend(Wrapped):
    """`inner`, whose usage tells the joules that a meter gave."""

    def __init__(self, inner: Backend, split: JouleSplit) -> None:
        super().__init__(inner)
        self._split = split

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The deltas of what is behind the meter."""
        mark = self._split.enter()
        try:
            async with aclosing(self.inner.stream(request)) as deltas:
                async for delta in deltas:
                    if delta.usage is not None:
                        usage = replace(delta.usage, joules=self._split.since(mark))
                        delta = replace(delta, usage=usage)
                    yield delta
        finally:
            self._split.leave(mark)


def metered(member: FleetMember, backend: Backend) -> Backend:
    """`backend` behind the meter of its section of `router.yaml`; itself where there is none to be read."""
    if member.energy is None or member.energy.meter is None:
        return backend
    try:
        return MeteredBackend(backend, split_of(member.energy.meter))
    except MeterError as error:
        log.warning("%s: its energy is not measured: %s", member.name, error)
        return backend


@cache
def split_of(name: str) -> JouleSplit:
    """The one split of this process over the meter of that name.

    :raises MeterError: when it cannot be read on this machine.
    """
    return JouleSplit(open_meter(name))
