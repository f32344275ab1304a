"""How late the event loop is: a task that sleeps, and counts how much later than asked it wakes.

A loop that something holds up answers nobody meanwhile. Knows nothing of what holds it up.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pinnace.server.tally import Tally

EVERY_S = 0.25


@asynccontextmanager
async def watching_the_loop(lag: Tally, every_s: float = EVERY_S) -> AsyncGenerator[None, None]:
    """Observe into `lag`, in seconds, every `every_s` during the block."""
    watching = asyncio.create_task(_watch(lag, every_s))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(lag: Tally, every_s: float) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + every_s
        await asyncio.sleep(every_s)
        lag.observe(max(now() - due, 0.0))
