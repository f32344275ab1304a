"""A backend that runs on under another card: its price or its bounds have changed, and its engine has not.

Knows which settings of a fleet member are only said of a model, and are nothing that its engine is told.
"""

from collections.abc import AsyncGenerator

from pinnace.config import FleetMember
from pinnace.models.backend import Backend
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Request
from pinnace.models.wrapped import Wrapped

SAID_OF_IT = frozenset(
    {
        "price",
        "tools",
        "json_schema",
        "optional",
        "estimates",
        "energy",
        "least_bar",
        "votes",
        "max_running",
        "max_waiting",
        "max_tokens_in_flight",
    }
)
"""Keys of a member that its card, its places and its votes are made of, and its engine is not."""


class Recarded(Wrapped):
    """`inner`, whose model is now what `member` says of it."""

    def __init__(self, inner: Backend, member: FleetMember) -> None:
        super().__init__(inner)
        now = inner.card
        self.card = card_of(member, backend=now.backend, context_window=now.context_window)

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The deltas of what is behind the card."""
        return self.inner.stream(request)


def runs_alike(member: FleetMember, other: FleetMember) -> bool:
    """Whether one engine serves both: they differ at most in what is said of the model."""
    told, also = (each.model_dump(exclude=set(SAID_OF_IT)) for each in (member, other))
    return type(member) is type(other) and told == also


def engine_of(backend: Backend | None) -> Backend | None:
    """What is behind all cards and gates of `backend`: one with its supervisor, where it has one."""
    while (inner := getattr(backend, "inner", None)) is not None:
        backend = inner
    return backend
