"""The seam between Pinnace and whatever runs a model."""

from collections.abc import AsyncGenerator
from typing import Protocol

from pinnace.models.card import ModelCard
from pinnace.models.completion import Delta, Request


class Backend(Protocol):
    """Runs completions of one fleet member.

    `start` raises `BackendError` or `WeightsError` when the member must not serve. `stream` yields
    deltas until every choice has finished; closing the iterator aborts the completion in the engine.
    It raises `RequestError` where the request is at fault and `BackendError` where the backend is.
    `drain` lets nothing new in, waits for what runs, and gives the resources back.
    """

    @property
    def card(self) -> ModelCard: ...

    async def start(self) -> None: ...

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]: ...

    async def drain(self) -> None: ...
