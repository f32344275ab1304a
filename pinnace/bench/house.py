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
    """An endpoint that serves one local model."""

    dispatcher: Dispatcher
    member: VllmMember
    port: int


def local_config(config: Config, member: VllmMember, scratch: Path) -> Config:
    """`config` cut down to one local model, with a ledger of its own in `scratch`.

    `auto` then routes as always, and cannot send the bench's requests to a model that costs money.
    """
    server = config.server.model_copy(update={"api_keys": (), "host": HOST, "port": 0})
    ledger = Ledger(path=scratch / "ledger.sqlite")
    changes: dict[str, object] = {"fleet": (member,), "absent": {}, "server": server, "ledger": ledger}
    return config.model_copy(update=changes)


def local_member(config: Config) -> VllmMember:
    """The first local model of the fleet.

    :raises ConfigError: when it has none.
    """
    for member in config.fleet:
        if isinstance(member, VllmMember):
            return member
    raise ConfigError("fleet: expected a vllm member, whose engine the bench can compare with")


@asynccontextmanager
async def serving(config: Config) -> AsyncGenerator[House, None]:
    """Serve `config`, which `local_config` made, during the block; all is drained at its end.

    :raises BackendUnavailableError: when the fleet cannot serve, or a signal stopped it.
    """
    dispatcher = Dispatcher.from_config(config)
    with listen(HOST, 0) as listener:
        running = asyncio.create_task(serve(dispatcher, config.server, listener))
        try:
            while not dispatcher.fleet.is_ready():
                if running.done():
                    raise BackendUnavailableError("the endpoint stopped before it was ready: see the log")
                await asyncio.sleep(POLL_S)
            yield House(dispatcher, local_member(config), listener.getsockname()[1])
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
