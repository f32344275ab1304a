"""The endpoint under test: what `pinnace serve` runs, on a free port of this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pinnace.config import Config, Ledger, VllmMember
from pinnace.errors import BackendUnavailableError, ConfigError
from pinnace.router.dispatch import Dispatcher
from pinnace.server.serving import listen, serve

HOST = "127.0.0.1"
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class House:
    """An endpoint that serves."""

    dispatcher: Dispatcher
    port: int


def local_config(config: Config, scratch: Path) -> tuple[Config, VllmMember]:
    """`config` cut down to its first local model, with a ledger of its own in `scratch`.

    `auto` then routes as always, and cannot send the bench's requests to a model that costs money.

    :raises ConfigError: when the fleet has no local model.
    """
    member = next((each for each in config.fleet if isinstance(each, VllmMember)), None)
    if member is None:
        raise ConfigError("fleet: expected a vllm member, whose engine the bench can compare with")
    server = config.server.model_copy(update={"api_keys": (), "host": HOST, "port": 0})
    ledger = Ledger(path=scratch / "ledger.sqlite")
    return config.model_copy(update={"fleet": (member,), "server": server, "ledger": ledger}), member


@asynccontextmanager
async def serving(dispatcher: Dispatcher, config: Config) -> AsyncGenerator[House, None]:
    """Serve during the block; everything is drained at its end.

    :raises BackendUnavailableError: when the fleet cannot serve, or a signal stopped it.
    """
    with listen(HOST, 0) as listener:
        running = asyncio.create_task(serve(dispatcher, config.server, listener))
        try:
            while not dispatcher.fleet.is_ready():
                if running.done():
                    raise BackendUnavailableError("the endpoint stopped before it was ready: see the log")
                await asyncio.sleep(POLL_S)
            yield House(dispatcher, listener.getsockname()[1])
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
