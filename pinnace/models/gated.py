"""A backend behind places of its own, so that one slow model cannot hold up the whole fleet.

Knows nothing of what the backend is; a member without bounds has no gate and pays nothing for one.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pinnace.config import FleetMember
from pinnace.errors import BackendFullError
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, Request
from pinnace.models.places import Places, PlacesFullError
from pinnace.models.wrapped import Wrapped

_UNBOUNDED = 2**62


class GatedBackend(Wrapped):
    """`inner` with a bound on what runs and waits; a place is held until the stream is closed."""

    def __init__(self, inner: Backend, places: Places) -> None:
        super().__init__(inner)
        self.places = places

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the inner backend's deltas once a place is free.

        :raises BackendFullError: when nobody else may wait for this model.
        """
        places = self.places
        try:
            tokens = await places.enter(tokens_of(request), request.priority)
        except PlacesFullError:
            message = f"{self.card.name}: full: {places.running} requests run and {places.waiting} wait"
            raise BackendFullError(message) from None
        try:
            async with aclosing(self.inner.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            places.leave(tokens, request.priority)


def gated(member: FleetMember, backend: Backend) -> Backend:
    """`backend` behind the bounds of its section of `router.yaml`; itself where there are none."""
    if member.max_running is None and member.max_tokens_in_flight is None:
        return backend
    places = Places(
        max_running=member.max_running or _UNBOUNDED,
        max_tokens=member.max_tokens_in_flight or _UNBOUNDED,
        max_waiting=member.max_waiting,
    )
    return GatedBackend(backend, places)


def tokens_of(request: Request) -> int:
    """Tokens that a request may take: four characters a token of its prompt, and all it may write."""
    prompt = sum(len(message.content) for message in request.messages) // 4
    return prompt + request.max_tokens * request.n
