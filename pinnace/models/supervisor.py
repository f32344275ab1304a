"""Supervision: a local model whose engine is started again when it dies, and whose culprits are refused.

While the engine is away its requests are refused, so that they climb or hear when to come again. Those that
ran when it died run alone next time, and one that kills it twice is refused for good (`Suspects`). Knows
nothing of what the engine is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from pinnace.errors import BackendError, BackendUnavailableError, RequestError, WeightsError
from pinnace.models.backend import Backend
from pinnace.models.backoff import Backoff
from pinnace.models.card import ModelCard
from pinnace.models.completion import Delta, Request
from pinnace.models.member_status import MemberStatus
from pinnace.models.suspects import Suspects
from pinnace.models.turns import Turns

log = logging.getLogger(__name__)

PROBATION_S = 30.0
"""How long a suspect keeps the engine to itself at most."""


class Mortal(Backend, Protocol):
    """A backend that can die after its start, and be started again once it is drained.

    `wait_death` returns how it died, in a few words; `is_dead` is true from that moment until `drain`.
    """

    def is_dead(self) -> bool: ...

    async def wait_death(self) -> str: ...


class Supervisor:
    """A backend that keeps another one alive. `restarts` counts; `tell` hears every change of `status`."""

    def __init__(
        self, backend: Mortal, backoff: Backoff | None = None, suspects: Suspects | None = None
    ) -> None:
        self.backend = backend
        self.status = MemberStatus("starting")
        self.restarts = 0
        self.tell: Callable[[MemberStatus], None] = _to_nobody
        self.suspects = suspects or Suspects()
        self._backoff = backoff or Backoff()
        self._turns = Turns()
        self._running: set[_Run] = set()
        self._victims: list[_Run] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def card(self) -> ModelCard:
        """The card of the backend."""
        return self.backend.card

    async def start(self) -> None:
        """Start the backend, and watch it from then on. A first start that fails is not tried again.

        :raises BackendError: when it must not serve.
        :raises WeightsError: when its weights cannot be had.
        """
        await self.backend.start()
        self._say(MemberStatus("ready"))
        self._watching = asyncio.create_task(self._watch())

    async def drain(self) -> None:
        """Stop watching, and drain the backend."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self.backend.drain()
        self._say(MemberStatus("stopped"))

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The backend's stream; a suspect waits until it is alone.

        :raises RequestError: when `request` has killed the engine before, code `poisoned_request`.
        :raises BackendUnavailableError: when the engine is away, or dies.
        """
        self._check(request)
        is_suspect = self.suspects.is_suspect(request)
        async with self._turns.turn(alone=is_suspect, alone_s=PROBATION_S):
            self._check(request)  # it may have died while this one waited
            run = _Run(request)
            self._running.add(run)
            try:
                async with aclosing(self.backend.stream(request)) as deltas:
                    async for delta in deltas:
                        yield delta
            except BackendError:
                if self.backend.is_dead() and not run.is_judged:
                    self._victims.append(run)
                raise
            finally:
                self._running.discard(run)
        if is_suspect:
            self.suspects.clear(request)

    def _check(self, request: Request) -> None:
        if self.suspects.is_guilty(request):
            raise RequestError(
                f"{self.card.name}: this request ended the engine more than once and is not run again",
                param="messages",
                code="poisoned_request",
            )
        if self.status.state == "restarting" or self.backend.is_dead():
            raise BackendUnavailableError(f"{self.card.name}: the engine is being started again")

    async def _watch(self) -> None:
        try:
            while True:
                began = time.monotonic()
                why = await self.backend.wait_death()
                self._backoff.lived(time.monotonic() - began)
                self._judge()
                await self._revive(why)
        except Exception as error:  # the edge of this task: whatever it is, nobody watches any more
            log.exception("%s is no longer watched", self.card.name)
            self._say(MemberStatus("failed", f"its supervision failed: {error}"))
            await self.backend.drain()  # what may have started, nobody would stop any more

    def _judge(self) -> None:
        """Suspect whoever ran when the engine died."""
        runs = [*self._victims, *self._running]
        self._victims = []
        for run in runs:
            run.is_judged = True
        self.suspects.blame([run.request for run in runs])

    async def _revive(self, why: str) -> None:
        """Start the backend again, as often as it takes."""
        while True:
            delay = self._backoff.next_s()
            log.error("%s: %s; it is started again in %.1f s", self.card.name, why, delay)
            self._say(MemberStatus("restarting", why))
            await self.backend.drain()
            await asyncio.sleep(delay)
            try:
                await self.backend.start()
            except (BackendError, WeightsError) as error:
                why = str(error)
                continue
            self.restarts += 1
            log.info("%s is ready again", self.card.name)
            return self._say(MemberStatus("ready"))

    def _say(self, status: MemberStatus) -> None:
        self.status = status
        self.tell(status)


class _Run:
    """One request on the engine; judged once it was suspected for a death."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.is_judged = False


def _to_nobody(status: MemberStatus) -> None:
    """Nobody listens yet."""


def supervisor_of(backend: object) -> Supervisor | None:
    """The supervisor in `backend`, which may stand behind a gate; None where nothing is supervised."""
    while not isinstance(backend, Supervisor):
        backend = getattr(backend, "inner", None)
        if backend is None:
            return None
    return backend


def plain(backend: Backend) -> Backend:
    """What a supervisor keeps alive; `backend` itself where there is none."""
    supervisor = supervisor_of(backend)
    return backend if supervisor is None else supervisor.backend
