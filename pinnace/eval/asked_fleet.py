"""The fleet of a live run: what is started, once, for everyone who is asked."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from pinnace.config import AdapterMember, Config
from pinnace.errors import ConfigError
from pinnace.eval.asker import Asker, Entrant, MemberAsker, RouteAsker
from pinnace.models.fleet import Fleet
from pinnace.router.dispatch import AUTO, Dispatcher, make_router


@asynccontextmanager
async def asked_fleet(config: Config, asked: Sequence[Entrant]) -> AsyncGenerator[list[Asker], None]:
    """Start what `asked` needs, and give it back at the end: the whole fleet and the router where `auto` is
    asked, else only the members that are named and those that they stand on. Writes no ledger.

    :raises ConfigError: when the fleet has no such member.
    :raises BackendError: when one that is asked cannot serve.
    """
    known = [member.name for member in config.fleet]
    for each in asked:
        if each.model not in (*known, AUTO):
            raise ConfigError(f"--models: expected some of {', '.join([*known, AUTO])}, got {each.model!r}")
    if any(each.model == AUTO for each in asked):
        dispatcher = Dispatcher(Fleet.from_config(config), make_router(config))
        fleet, whole = dispatcher.fleet, dispatcher
    else:
        dispatcher, fleet = None, Fleet.from_config(_only(config, {each.model for each in asked}))
        whole = fleet
    try:
        await whole.start()
        yield [_asker(each, fleet, dispatcher) for each in asked]
    finally:
        await whole.drain()


def _asker(entrant: Entrant, fleet: Fleet, dispatcher: Dispatcher | None) -> Asker:
    if entrant.model == AUTO and dispatcher is not None:
        return RouteAsker(dispatcher, entrant)
    return MemberAsker(fleet.serving(entrant.model), entrant)


def _only(config: Config, names: set[str]) -> Config:
    """The configuration of these members alone, and of the bases of those that are adapters."""
    adapters = [member for member in config.fleet if isinstance(member, AdapterMember)]
    needed = names | {adapter.base for adapter in adapters if adapter.name in names}
    kept = tuple(member for member in config.fleet if member.name in needed)
    return config.model_copy(update={"fleet": kept})
