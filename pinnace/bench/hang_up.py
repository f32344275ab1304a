"""A client that hangs up: how long after that does the request behind it in the engine get its first token?

Asks for a long stream, and once that runs, for a short one that has to wait for its place; then closes the
first one's connection. Run as `python -m pinnace.bench.hang_up`.
"""

import asyncio
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import uvicorn

from pinnace.bench.client import Connection, Target, body_of, head_of
from pinnace.bench.worker import answer_lines
from pinnace.errors import BackendUnavailableError

BEGUN = 8
"""Pieces of the long stream after which the short one is asked for."""
WAITING_S = 0.25
"""How long the short one then waits in the engine before the hang-up."""
LONG_TOKENS, SHORT_TOKENS = 1024, 2


@dataclass(frozen=True, slots=True)
class HungUp:
    """Seconds from the hang-up to the first token of the one that waited, and between the first's pieces."""

    first_s: float
    gaps_s: tuple[float, ...]


class Noting(Connection):
    """A connection that notes when every piece came."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces_at: list[float] = []
        self.has_begun = asyncio.Event()

    def on_body(self, body: bytes) -> None:
        """The parser's."""
        super().on_body(body)
        self.pieces_at.append(time.perf_counter())
        if len(self.pieces_at) >= BEGUN:
            self.has_begun.set()


async def hang_up(target: Target, long: str, short: str) -> HungUp:
    """Hang up on an answer to `long` while `short` waits.

    :raises BackendUnavailableError: when one of them did not wait for the other.
    """
    loop = asyncio.get_running_loop()
    _, first = await loop.create_connection(Noting, target.host, target.port)
    _, second = await loop.create_connection(Connection, target.host, target.port)
    head = head_of(target)
    leaving = asyncio.create_task(first.post(head, body_of(target, long, LONG_TOKENS)))
    await first.has_begun.wait()
    staying = asyncio.create_task(second.post(head, body_of(target, short, SHORT_TOKENS)))
    await asyncio.sleep(WAITING_S)
    if leaving.done() or second.first is not None:
        raise BackendUnavailableError("the second request did not wait for the first one's place")
    left = time.perf_counter()
    first.close()
    await staying
    await asyncio.gather(leaving, return_exceptions=True)
    second.close()
    assert second.first is not None, "a stream has a first byte"
    at = first.pieces_at
    return HungUp(second.first - left, tuple(b - a for a, b in pairwise(at)))


def main() -> None:
    """Answer lines of `{"target": ..., "long": ..., "short": ...}`."""
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        def answer(question: Any) -> object:
            target = Target(**question["target"])
            return asdict(runner.run(hang_up(target, question["long"], question["short"])))

        answer_lines(answer)


if __name__ == "__main__":
    main()
