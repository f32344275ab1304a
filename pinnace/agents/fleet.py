"""A fleet as pipelines see it: at an address, or in this process.

What answers, and over which line, is settled here once; sessions know nothing of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pinnace.agents.ablation import AS_WRITTEN, Ablation
from pinnace.agents.limits import Limits
from pinnace.agents.line import Line
from pinnace.agents.session import UNLIMITED, Session
from pinnace.agents.step import Input, Step
from pinnace.errors import StepError
from pinnace.models.together import together

T = TypeVar("T")
Item = TypeVar("Item")
AT_ONCE = 64
"""Sessions at a time, where nobody says: what keeps one engine's batch full."""
Deed = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """What there is to do for a fleet that others started."""


class Fleet:
    """Use it as `async with Fleet.connect(url) as fleet`, or `Fleet.load()` for one in this process."""

    def __init__(self, line: Line, *, start: Deed = _nothing, stop: Deed = _nothing) -> None:
        self.line = line
        self._start = start
        self._stop = stop

    @classmethod
    def connect(cls, url: str, api_key: str | None = None) -> "Fleet":
        """The fleet behind a Pinnace endpoint, as `http://127.0.0.1:8000/v1`."""
        from pinnace.agents.remote_line import RemoteLine

        line = RemoteLine(url, api_key)
        return cls(line, stop=line.aclose)

    @classmethod
    def load(cls, path: str | Path = "router.yaml") -> "Fleet":
        """The fleet that `path` describes, started in this process when the block is entered.

        :raises ConfigError: when the file is wrong.
        """
        from pinnace.agents.local_line import LocalLine
        from pinnace.config import load_config
        from pinnace.router.dispatch import Dispatcher

        dispatcher = Dispatcher.from_config(load_config(Path(path)))
        return cls(LocalLine(dispatcher), start=dispatcher.start, stop=dispatcher.drain)

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def session(
        self, limits: Limits = UNLIMITED, *, name: str = "run", ablation: Ablation = AS_WRITTEN
    ) -> Session:
        """One run: `async with fleet.session() as run`. See `Session`."""
        return Session(self.line, limits, name=name, ablation=ablation)

    async def ask(self, step: Step[T], asked: Input) -> T:
        """The value of one step, in a session of its own."""
        async with self.session(name=step.name) as run:
            return await run.ask(step, asked)

    async def map(
        self,
        pipeline: Callable[[Session, Item], Awaitable[T]],
        items: Iterable[Item],
        *,
        limits: Limits = UNLIMITED,
        at_once: int = AT_ONCE,
    ) -> list[T]:
        """What `pipeline` makes of each item, in their order; each in a session of its own.

        The first that fails cancels the others, and is raised.

        :param items: taken one by one, as places get free.
        :param limits: of each session.
        :param at_once: how many run at a time.
        :raises StepError: when none may.
        """
        if at_once < 1:
            raise StepError(f"map: expected at_once of at least 1, got {at_once!r}")
        numbered = enumerate(items)
        made: dict[int, T] = {}

        async def work() -> None:
            for at, item in numbered:
                async with self.session(limits) as session:
                    made[at] = await pipeline(session, item)

        await together([work() for _ in range(at_once)])
        return [made[at] for at in range(len(made))]

    @contextmanager
    def blocking(self) -> "Generator[Blocking, None, None]":
        """The same for code that does not await: `with fleet.blocking() as fleet: fleet.ask(step, text)`."""
        with asyncio.Runner() as runner:
            runner.run(self.__aenter__())
            try:
                yield Blocking(self, runner)
            finally:
                runner.run(self.__aexit__(None, None, None))


class Blocking:
    """A fleet whose calls return when they are done. For one thread, outside any event loop."""

    def __init__(self, fleet: Fleet, runner: asyncio.Runner) -> None:
        self._fleet = fleet
        self._runner = runner

    def ask(self, step: Step[T], asked: Input) -> T:
        """The value of one step, in a session of its own."""
        return self._runner.run(self._fleet.ask(step, asked))

    def run(self, pipeline: Callable[[Session], Awaitable[T]], limits: Limits = UNLIMITED) -> T:
        """What `pipeline` makes of one session."""

        async def within() -> T:
            async with self._fleet.session(limits) as session:
                return await pipeline(session)

        return self._runner.run(within())

    def map(
        self,
        pipeline: Callable[[Session, Item], Awaitable[T]],
        items: Iterable[Item],
        *,
        limits: Limits = UNLIMITED,
        at_once: int = AT_ONCE,
    ) -> list[T]:
        """What `pipeline` makes of each item; see `Fleet.map`."""
        return self._runner.run(self._fleet.map(pipeline, items, limits=limits, at_once=at_once))
