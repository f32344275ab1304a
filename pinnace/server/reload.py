"""Reload: a new `router.yaml` and router state take over without losing a request.

The new ones are read, checked and started beside the old ones, and only then take over; whatever is wrong
with them leaves the old ones serving. Knows neither the wire nor signals: `admin.py` and `serving.py` do.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from pinnace.config import Config, VllmMember, adapter_slots
from pinnace.errors import PinnaceError
from pinnace.models.memory import why_no_room
from pinnace.router.dispatch import Dispatcher
from pinnace.router.renewal import kept_members, renewed, retire, start_beside
from pinnace.server.app import App
from pinnace.server.shifts import Front

log = logging.getLogger(__name__)

FIXED = ("host", "port", "admin", "tracing", "log_format", "log_level")
"""Keys of `server` that only a restart changes: sockets that are open, and who writes logs and traces."""


class ReloadError(PinnaceError):
    """The new configuration was not taken, and the old one serves on."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did, by names of fleet members."""

    started: tuple[str, ...]
    kept: tuple[str, ...]
    stopped: tuple[str, ...]
    seconds: float


class Reloading:
    """Reloads one server, one reload at a time.

    :param read: reads the configuration anew; raises `ConfigError` where it is wrong.
    :param config: what is served now.
    """

    def __init__(self, read: Callable[[], Config], config: Config, front: Front) -> None:
        self._read = read
        self._config = config
        self._front = front
        self._running: asyncio.Task[Reloaded] | None = None
        self._is_stopped = False
        self._is_due = False

    async def reload(self) -> Reloaded:
        """Read the configuration and the state anew, and serve by them.

        :raises ReloadError: when they are not taken; says exactly why.
        """
        if self._running is not None:
            raise ReloadError("a reload is under way: wait for its end")
        try:
            return await asyncio.shield(self._begin())  # whoever asked may leave; the reload goes on
        except asyncio.CancelledError:
            if self._is_stopped:
                raise ReloadError("the server is stopping") from None
            raise

    def reload_soon(self) -> None:
        """Reload, once more after one that is under way, and have the log say what came of it.

        The one under way may have read the files before they were changed again.
        """
        if self._running is None:
            self._begin()
        else:
            self._is_due = True
            log.info("reload: one is under way, and another follows it")

    async def stop(self) -> None:
        """Break off a reload that runs; what it had started is stopped."""
        self._is_stopped = True
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _begin(self) -> "asyncio.Task[Reloaded]":
        self._running = running = asyncio.create_task(self._reload())
        running.add_done_callback(self._is_over)
        return running

    def _is_over(self, task: "asyncio.Task[Reloaded]") -> None:
        """One has ended: its failure is in the log already, and what became due meanwhile begins."""
        if not task.cancelled():
            task.exception()
        if self._is_due and not self._is_stopped:
            self._is_due = False
            self.reload_soon()

    async def _reload(self) -> Reloaded:
        began = time.monotonic()
        try:
            return await self._take_over(began)
        except PinnaceError as error:
            log.error("reload: refused, the old configuration serves on: %s", error)
            raise ReloadError(str(error)) from error
        except Exception as error:  # the edge of this task: our bug, and still no reason to stop serving
            log.exception("reload: refused, the old configuration serves on")
            raise ReloadError("the server has a bug; its log has the details") from error
        finally:
            self._running = None

    async def _take_over(self, began: float) -> Reloaded:
        if self._is_stopped or self._front.on.app.admission.is_closed():
            raise ReloadError("the server is stopping")
        before, old = self._config, self._front.on
        if any(status.state == "starting" for status in old.dispatcher.fleet.status.values()):
            raise ReloadError("the server is still starting")
        after = await asyncio.to_thread(self._read)
        check_fixed(before, after)
        kept = kept_members(old.dispatcher, before, after)
        await _check_room(after, kept)
        new = await asyncio.to_thread(renewed, old.dispatcher, before, after)
        try:
            await _start(new, old.dispatcher, before, after)
            app = App(new, after.server, old.app.standing)
        except BaseException:
            await asyncio.shield(retire(new, beside=old.dispatcher))
            raise
        new.fleet.take_over(old.dispatcher.fleet)
        self._front.relieve(app, new, after.server)
        self._config = after
        return _account(old.dispatcher, after, kept, time.monotonic() - began)


def check_fixed(before: Config, after: Config) -> None:
    """Refuse what cannot change while the server runs.

    :raises ReloadError: names the key.
    """
    for key in FIXED:
        was, now = getattr(before.server, key), getattr(after.server, key)
        if was != now:
            change = f"expected {was!r}, got {now!r}"
            raise ReloadError(f"server.{key}: {change}: it cannot change while the server runs; restart it")


async def _check_room(after: Config, kept: tuple[str, ...]) -> None:
    """A new or changed local engine starts while the old one still serves, so there must be room for both."""
    fresh = [m for m in after.fleet if isinstance(m, VllmMember) and m.name not in kept]
    why = await why_no_room([(member, adapter_slots(after.fleet, member)) for member in fresh])
    if why is not None:
        names = ", ".join(f"fleet.{m.name}" for m in fresh)
        raise ReloadError(f"{names}: a new or changed local engine {why}: restart the server instead")


async def _start(new: Dispatcher, old: Dispatcher, before: Config, after: Config) -> None:
    """Start what is new; a member that fails and did not fail before refuses the whole.

    :raises PinnaceError: when it cannot serve.
    """
    await start_beside(new, old)
    same = {member.name for member in before.fleet if member in after.fleet}
    for name, status in new.fleet.status.items():
        served = name in old.fleet.status and old.fleet.status[name].state == "ready"
        if status.state == "failed" and (name not in same or served):
            raise ReloadError(f"fleet.{name}: did not start: {status.detail}")


def _account(old: Dispatcher, after: Config, kept: tuple[str, ...], seconds: float) -> Reloaded:
    started = tuple(member.name for member in after.fleet if member.name not in kept)
    served = [name for name, status in old.fleet.status.items() if status.state in ("ready", "restarting")]
    stopped = tuple(name for name in served if name not in kept)
    done = Reloaded(started, kept, stopped, seconds)
    words = {"started": started, "kept": kept, "stopping": stopped}
    told = "; ".join(f"{word}: {', '.join(names)}" for word, names in words.items() if names)
    log.info("reload: done in %.2f s; %s", seconds, told)
    return done
