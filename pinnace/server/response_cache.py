"""The response cache: whole answers to deterministic requests, kept per caller, and told again as they were.

Deterministic is what has temperature 0 or a seed, and one choice. An answer is found by the SHA-256 of who
asks, what is asked of which model, and the router state: so nobody is told what another key asked, and a new
state begins anew. Identical requests wait for the first that is under way, and go on alone where it fails or
its client leaves. Knows events, and nothing of any wire: a stream is told again as a stream.
"""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from pinnace.config import ResponseCache as CacheConfig
from pinnace.models.completion import Delta, Request, Usage
from pinnace.router.answer import Answered, Committed, Event
from pinnace.server.envelope import Header

Events = AsyncGenerator[Event, None]
HIT: Header = (b"x-pinnace-cache", b"hit")
MISS: Header = (b"x-pinnace-cache", b"miss")
EVENT_BYTES = 256
"""What an event takes in memory beside its text, by estimate; so does each token with its alternatives."""
MAX_FOLLOWERS = 1024
"""Identical requests that wait for one; more go on alone."""
_LARGEST_SHARE = 8
"""An answer larger than the cache's bytes divided by this is not kept."""
_NOT_ASKED = frozenset({"id", "caller", "priority", "deadline", "trace_headers"})
"""Fields of a request that cannot change its answer."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One whole answer: its events, at no cost; `size` is the bytes that it takes by estimate."""

    committed: Committed
    deltas: tuple[Delta, ...]
    answered: Answered
    size: int
    until: float

    async def replay(self) -> Events:
        """The events, as if they came."""
        yield self.committed
        for delta in self.deltas:
            yield delta
        yield self.answered


@dataclass(slots=True)
class _Flight:
    """A request under way, and those that wait for its answer."""

    followers: int = 0
    kept: Kept | None = None
    landed: asyncio.Event = field(default_factory=asyncio.Event)


class ResponseCache:
    """Bounded in entries, bytes and time; what was used longest ago goes first."""

    def __init__(self, config: CacheConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        self._config = config
        self._clock = clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def find(self, key: bytes) -> Kept | None:
        """The answer of `key`, waiting for it where it is under way; None where it must be asked for."""
        kept = self._get(key)
        flight = self._flights.get(key)
        if kept is not None or flight is None or flight.followers >= MAX_FOLLOWERS:
            return kept
        flight.followers += 1
        try:
            await flight.landed.wait()
        finally:
            flight.followers -= 1
        return flight.kept

    @asynccontextmanager
    async def keeping(
        self, key: bytes, request: Request, live: AbstractAsyncContextManager[Events]
    ) -> AsyncGenerator[Events, None]:
        """The events of `live`, which are kept when they have come to their end."""
        flight = _Flight()
        is_first = self._flights.setdefault(key, flight) is flight
        try:
            async with live as events, aclosing(self._recorded(key, request, events, flight)) as recorded:
                yield recorded
        finally:
            if is_first:
                del self._flights[key]
            flight.landed.set()

    async def _recorded(self, key: bytes, request: Request, events: Events, flight: _Flight) -> Events:
        committed: Committed | None = None
        deltas: list[Delta] = []
        size, most = 0, self._config.bytes // _LARGEST_SHARE
        async for event in events:
            if isinstance(event, Committed):
                committed = event
            elif isinstance(event, Delta):
                slim = _slim(event, request)
                size += size_of(slim)
                if size <= most:
                    deltas.append(slim)
            elif committed is not None and size <= most and not _is_makeshift(event):
                until = self._clock() + self._config.ttl_s
                free = replace(committed, spent_usd=0.0)
                flight.kept = Kept(free, tuple(deltas), _for_free(event), size + EVENT_BYTES, until)
                self._put(key, flight.kept)
            yield event

    def _get(self, key: bytes) -> Kept | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def _put(self, key: bytes, kept: Kept) -> None:
        if key in self._kept:
            self._drop(key)
        self._kept[key] = kept
        self.size += kept.size
        while len(self._kept) > self._config.entries or self.size > self._config.bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self.size -= self._kept.pop(key).size


def is_deterministic(request: Request) -> bool:
    """Whether asking again should bring the same answer."""
    return request.n == 1 and (request.temperature == 0 or request.seed is not None)


def key_of(request: Request, model: str, state: str, *, is_stream: bool) -> bytes:
    """What an answer is kept under; who asks is part of the request.

    :param model: what the request asks for.
    :param state: names the router state.
    """
    asked = {f.name: getattr(request, f.name) for f in fields(request) if f.name not in _NOT_ASKED}
    whole = [request.caller, model, state, is_stream, asked]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode("ascii")).digest()


def size_of(delta: Delta) -> int:
    """Bytes that a delta takes in memory, by estimate."""
    tokens = sum(1 + len(token.top) for token in delta.logprobs)
    calls = len(repr(delta.tool_calls)) if delta.tool_calls else 0
    return EVENT_BYTES * (1 + tokens) + 4 * len(delta.text) + calls


def _slim(delta: Delta, request: Request) -> Delta:
    """Without what only the gate reads."""
    return delta if request.top_logprobs is not None else replace(delta, logprobs=(), usage=None)


def _is_makeshift(answered: Answered) -> bool:
    """Whether the answer is what was left when a backend failed: it may be better next time."""
    return any(attempt.verdict == "failed" for attempt in answered.attempts)


def _for_free(answered: Answered) -> Answered:
    free = {"cost_usd": 0.0, "usage": Usage(), "joules": None, "joules_source": ""}
    attempts = tuple(replace(attempt, **free) for attempt in answered.attempts)
    return replace(answered, attempts=attempts, cost_usd=0.0)


def _plain(value: Any) -> Any:
    """What JSON does not have, as what it has."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise TypeError(f"expected a field of a request, got {type(value).__name__}")
