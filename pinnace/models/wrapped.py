"""A backend around another one: what it does not do itself, the inner one does."""

from typing import Any

from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard


class Wrapped:
    """`inner` behind something. Whatever else `inner` has (its card, counters, states) is had here too."""

    card: ModelCard  # the inner one's, unless the wrapping gives its own

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def start(self) -> None:
        """Start what is inside."""
        await self.inner.start()

    async def drain(self) -> None:
        """Drain what is inside."""
        await self.inner.drain()
