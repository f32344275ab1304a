"""Serving: the endpoint on a socket, from starting the fleet to the last answer.

Listens before the fleet is ready, so that health checks have an answer, and goes on listening while
it drains, so that new requests hear a clean refusal. Knows nothing of what is served.
"""

import asyncio
import gc
import logging
import math
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from pinnace.config import Config, Server
from pinnace.errors import ConfigError, PinnaceError
from pinnace.models.free_memory import giving_back
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admin import PATH as ADMIN_PATH
from pinnace.server.admin import create_admin
from pinnace.server.app import App, create_app
from pinnace.server.envelope import refused
from pinnace.server.logs import set_up_logging
from pinnace.server.protocol import BoundedHttp, bound_anew, bound_writes, bounded_http
from pinnace.server.reload import Reloading
from pinnace.server.shifts import Front

log = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_S = 75
LAST_WORDS_S = 2.0
ECHO_S = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where the whole configuration comes from: as it was read, and how to read it again."""

    config: Config
    read: Callable[[], Config]


def run_server(dispatcher: Dispatcher, config: Server, source: Source | None = None) -> int:
    """Serve until a signal says stop.

    :param source: with it, SIGHUP and `POST /admin/reload` reload.
    :returns: the process's exit code: 0 when it was asked to stop, 1 when it could not serve.
    """
    set_up_logging(config.log_level, config.log_format)
    try:
        listener = listen(config.host, config.port)
    except OSError as error:
        log.error("cannot listen on %s: %s", address(config.host, config.port), error.strerror or error)
        return 1
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with listener, asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(serve(dispatcher, config, listener, source))


async def serve(
    dispatcher: Dispatcher, config: Server, listener: socket.socket, source: Source | None = None
) -> int:
    """Serve on a socket that listens; see `run_server`."""
    app = create_app(dispatcher, config)
    front = Front(app, dispatcher)
    http = bounded_http(config, app.metrics.refused)
    bound_writes(listener, config.write_timeout_s)
    front.tell = partial(bound_anew, http, listener)
    stop = Stop()
    with stop.on_signals(), giving_back():
        async with app.watch.at_work(), listening(front, listener, stop, http):
            log.info("listening on %s", address(*listener.getsockname()[:2]))
            try:
                async with reloadable(front, source, stop):
                    return await _start_and_serve(dispatcher, app, stop)
            except PinnaceError as error:
                log.error("cannot serve: %s", error)
                return 1
            finally:
                await front.drain()


@asynccontextmanager
async def reloadable(front: Front, source: Source | None, stop: "Stop") -> AsyncGenerator[None, None]:
    """Reload on SIGHUP and `POST /admin/reload` during the block.

    :raises ConfigError: when nobody can listen on `server.admin`.
    """
    if source is None:
        yield
        return
    reloading = Reloading(source.read, source.config, front)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.reload_soon)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(reloading.stop)
        if (admin := source.config.server.admin) is not None:
            try:
                door = stack.enter_context(listen(admin.host, admin.port))
            except OSError as error:
                raise ConfigError(f"server.admin: cannot listen: {error.strerror or error}") from error
            await stack.enter_async_context(listening(create_admin(reloading), door, stop))
            log.info("reload: POST %s%s", address(*door.getsockname()[:2]), ADMIN_PATH)
        yield


class Stop:
    """Whether to stop: `asked` at the first signal, `at_once` at the second; a third kills as usual.

    A signal to the whole process group reaches us twice, directly and passed on by `make`: the same
    signal again within a second is that echo.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self._first = (0, 0.0)

    @contextmanager
    def on_signals(self) -> Generator[None, None, None]:
        """Listen to SIGTERM and SIGINT during the block."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask, number)
        try:
            yield
        finally:
            self._leave_signals()

    def ask(self, number: int = 0) -> None:
        """Ask to stop; asking again means at once, unless it is an echo of signal `number`."""
        now = time.monotonic()
        first_number, first_at = self._first
        if not self.asked.is_set():
            self._first = (number, now)
            self.asked.set()
        elif number != first_number or now - first_at > ECHO_S:
            self.at_once.set()
            self._leave_signals()

    def _leave_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises `OSError` where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def address(host: str, port: int) -> str:
    """The endpoint as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def listening(
    app: ASGIApp, listener: socket.socket, stop: Stop, http: type[BoundedHttp] = BoundedHttp
) -> AsyncGenerator[None, None]:
    """Answer on `listener` during the block. Should uvicorn end by itself, that is a stop too."""
    server = _Uvicorn(_uvicorn_config(app, http))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    running.add_done_callback(lambda _: stop.ask())
    try:
        yield
    finally:
        server.should_exit = True
        await running


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signals: it would close the door before we have drained."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _uvicorn_config(app: ASGIApp, http: type[BoundedHttp]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(LAST_WORDS_S),
    )


async def _start_and_serve(dispatcher: Dispatcher, app: App, stop: Stop) -> int:
    if await _started(dispatcher, stop):
        gc.collect()
        gc.freeze()  # what start-up made stays; walking through it would hold up every answer for 0.3 s
        log.info("ready: %s", ", ".join(card.name for card in dispatcher.fleet.cards()))
        await stop.asked.wait()
    drain_s = app.standing.config.drain_s
    app.close(retry_after=math.ceil(drain_s))
    await _finish(app, stop, drain_s)
    return 0


async def _started(dispatcher: Dispatcher, stop: Stop) -> bool:
    """Start the fleet; False where a stop was asked for before it was ready."""
    starting = asyncio.create_task(dispatcher.start())
    stopping = asyncio.create_task(stop.asked.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


async def _finish(app: App, stop: Stop, drain_s: float) -> None:
    """Wait for the requests in the house, and send home those that take too long."""
    log.info("stopping: %d requests are in the house", len(app.lifelines))
    await _wait_for_any(drain_s, app.lifelines.wait_empty(), stop.at_once.wait())
    if len(app.lifelines):
        log.warning("stopping: %d requests are broken off", len(app.lifelines))
        app.lifelines.cut_all(refused(503, "The server stopped.", code="draining", retry_after=1).envelope)
        await _wait_for_any(LAST_WORDS_S, app.lifelines.wait_empty())
    log.info("stopped")


async def _wait_for_any(seconds: float, *waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of `waits` is over, or so many seconds have passed."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
