"""What a trial has beside the server: a folder that goes with it, a client that asks, a remote stand-in."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pinnace.bench.worker import Worker

CLIENT = "pinnace.bench.asker"
UPSTREAM = "pinnace.bench.upstream"


@asynccontextmanager
async def asking() -> AsyncGenerator[tuple[Worker, Path], None]:
    """A client in a process of its own, and a folder for what the trial writes; both end with the block."""
    with TemporaryDirectory() as name:
        client = await Worker.start(CLIENT, os.environ, Path(name))
        try:
            yield client, Path(name)
        finally:
            await client.close()


@asynccontextmanager
async def standing_in(scratch: Path) -> AsyncGenerator[tuple[Worker, int], None]:
    """The stand-in for a remote model, in a process of its own, and its port."""
    upstream = await Worker.start(UPSTREAM, os.environ, scratch)
    try:
        yield upstream, int(await upstream.ask({"start": True}))
    finally:
        await upstream.close()
