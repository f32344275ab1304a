"""The seam between sessions and whatever answers: in process, over HTTP, or scripted."""

from collections.abc import AsyncGenerator
from typing import Protocol

from pinnace.agents.reply import Account, Member, Reply
from pinnace.models.completion import Delta, Request

AUTO = "auto"


class Line(Protocol):
    """Takes one request to a fleet and brings the answer back. Cancelling a call aborts it in the engine."""

    async def complete(self, request: Request, model: str = AUTO) -> Reply: ...

    def stream(self, request: Request, model: str = AUTO) -> AsyncGenerator[Delta | Account, None]: ...

    async def members(self) -> tuple[Member, ...]: ...
