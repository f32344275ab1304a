"""The seam between sessions and whatever answers: in process, over HTTP, or scripted."""

from collections.abc import AsyncGenerator
from typing import Protocol, TypeAlias

from pinnace.agents.reply import Account, Member, Reply, Settled
from pinnace.models.completion import Delta, Request

AUTO = "auto"
Said: TypeAlias = Settled | Delta | Account
"""What a stream is made of."""


class Line(Protocol):
    """Takes one request to a fleet and brings the answer back. Cancelling a call aborts it in the engine.

    A stream tells who answers, where that is known, then the pieces of the answer, and last its account.
    """

    async def complete(self, request: Request, model: str = AUTO) -> Reply: ...

    def stream(self, request: Request, model: str = AUTO) -> AsyncGenerator[Said, None]: ...

    async def members(self) -> tuple[Member, ...]: ...
