"""A LoRA adapter as a member of the fleet: a backend of its own that answers in its base's engine and batch.

It has no engine: requests go to the base's, which its supervisor keeps alive, with the adapter's number on
them. Knows nothing of how the engine holds adapters.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from pinnace.config import AdapterMember, Config, FleetMember, VllmMember, adapter_slots
from pinnace.errors import BackendUnavailableError, WeightsError
from pinnace.models.adapters.engine import EngineAdapters
from pinnace.models.adapters.intake import Adapter, digest_of, source_folder, take_in
from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Delta, Message, Request
from pinnace.models.recarded import engine_of
from pinnace.models.supervisor import plain
from pinnace.models.weights import default_cache

log = logging.getLogger(__name__)


class Host(Backend, Protocol):
    """A backend that holds adapters beside its model: `folder` is where that lies, None before its start."""

    @property
    def adapters(self) -> EngineAdapters: ...

    @property
    def folder(self) -> Path | None: ...

    async def load_adapter(self, digest: str, folder: Path) -> int: ...

    async def unload_adapter(self, number: int) -> None: ...


class AdapterBackend:
    """One adapter on a base.

    :param member: with everything that it has from its base (`AdapterMember.on`).
    :param base: the base's section, and `engine` its backend: supervised, and without its card and bounds.
    """

    def __init__(self, member: AdapterMember, base: VllmMember, engine: Backend) -> None:
        self.engine = engine
        self._member = member
        self._max_rank = base.engine.max_lora_rank
        self._adapter: Adapter | None = None
        self._number = 0

    @property
    def card(self) -> ModelCard:
        """The adapter's card: its window is the base's where its section says none."""
        window = self.engine.card.context_window
        return card_of(self._member, backend="vllm", context_window=window)

    async def start(self) -> None:
        """Check the adapter, and have the engine load it.

        :raises WeightsError: when it cannot be had, or the base cannot serve it.
        :raises BackendError: when the engine is not there or does not take it.
        """
        host = self._host()
        if host.folder is None:
            raise BackendUnavailableError(f"{self._member.name}: its base {self._member.base} does not serve")
        try:
            adapter = await asyncio.to_thread(
                take_in,
                self._member.adapter,
                base=host.folder,
                max_rank=self._max_rank,
                cache=default_cache(),
            )
        except WeightsError as error:
            raise WeightsError(f"{self._member.name}: {error}") from error
        self._number = await host.load_adapter(adapter.digest, adapter.folder)
        self._adapter = adapter

    async def drain(self) -> None:
        """Have the engine forget the adapter, unless another member has the same."""
        number, self._number = self._number, 0
        if number:
            await self._host().unload_adapter(number)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The deltas of the base's engine with this adapter.

        :raises BackendUnavailableError: when it was not started, or the engine is away.
        """
        if not self._number:
            raise BackendUnavailableError(f"{self.card.name}: the adapter is not loaded")
        async with aclosing(self.engine.stream(self._asked(request))) as deltas:
            async for delta in deltas:
                yield delta

    def is_current(self) -> bool:
        """Whether what lies at its source is still what was loaded."""
        try:
            found = digest_of(source_folder(self._member.adapter, default_cache()))
        except WeightsError:
            return False
        return self._adapter is not None and found == self._adapter.digest

    def _asked(self, request: Request) -> Request:
        """`request` with this member's number, sampling and system turn where it says none."""
        sampling, system = self._member.sampling, self._member.system
        own = Message("system", system) if system is not None and not request.is_raw else None
        if own is None or any(message.role in ("system", "developer") for message in request.messages):
            messages = request.messages
        else:
            messages = (own, *request.messages)
        return replace(
            request,
            adapter=self._number,
            messages=messages,
            temperature=sampling.temperature if request.temperature is None else request.temperature,
            top_p=sampling.top_p if request.top_p is None else request.top_p,
        )

    def _host(self) -> Host:
        return cast(Host, plain(self.engine))


def adapter_of(backend: Backend | None) -> AdapterBackend | None:
    """The adapter behind all cards and gates of `backend`; None where it is none."""
    found = engine_of(backend)
    return found if isinstance(found, AdapterBackend) else None


def can_go_on(member: FleetMember, before: Config, after: Config, backend: Backend) -> bool:
    """Whether `backend` can serve as `member` of `after`, as far as adapters matter.

    A base must have places for its adapters; an adapter must be the same, on the same base.
    """
    if isinstance(member, VllmMember):
        host = plain(backend)
        held: EngineAdapters | None = getattr(host, "adapters", None)
        return adapter_slots(after.fleet, member) <= (held.slots if held is not None else 0)
    found = adapter_of(backend)
    if not isinstance(member, AdapterMember) or found is None:
        return True
    is_same = all(_section(before, name) == _section(after, name) for name in (member.name, member.base))
    return is_same and found.is_current()


def _section(config: Config, name: str) -> FleetMember | None:
    return next((member for member in config.fleet if member.name == name), None)
