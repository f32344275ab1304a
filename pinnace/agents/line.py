"""The seam between sessions and whatever answers: in process, over HTTP, or scripted."""

from collections.abc import AsyncGenerator
from typing import Protocol

from pinnace.agents.reply import Account, Member, Reply
from pinnace.models.completion import Delta, Request

AUTO = "auto"


class Line(Protocol):
    """Takes one request to a fleet and brings the answer back. Cancelling a call aborts it in the engine.

    `accept` is the confidence from which an answer is taken where the route has a choice: in place of the
    gate's calibrated bars; None leaves those.
    """

    async def complete(self, request: Request, model: str = AUTO, accept: float | None = None) -> Reply: ...

    def stream(
        self, request: Request, model: str = AUTO, accept: float | None = None
    ) -> AsyncGenerator[Delta | Account, None]: ...

    async def members(self) -> tuple[Member, ...]: ...
