"""Renewal: from a running dispatcher and a new configuration to the next dispatcher, and back out of the old.

What both configurations say alike runs on and is shared: the engines of fleet members, whose price and bounds
may still change, the embedder, the ledger. Knows nothing of requests; who calls this waits for them.
"""

import asyncio

from pinnace.config import AdapterMember, Config
from pinnace.models.adapters.backend import can_go_on
from pinnace.models.fleet import Fleet
from pinnace.models.recarded import runs_alike
from pinnace.router.dispatch import Dispatcher, make_router
from pinnace.router.embedders import further_embedders
from pinnace.router.ledger import Ledger


def kept_members(running: Dispatcher, before: Config, after: Config) -> tuple[str, ...]:
    """The members whose engine may run on as it is, and that serve or will again."""
    sections = {member.name: member for member in before.fleet}
    pairs = [(member, sections.get(member.name)) for member in after.fleet]
    same = [new.name for new, old in pairs if old is not None and runs_alike(new, old)]
    backends, states = running.fleet.backends, running.fleet.status
    members = {m.name: m for m in after.fleet if m.name in same}
    alive = {n: m for n, m in members.items() if states[n].state in ("ready", "restarting")}
    fit = {n: m for n, m in alive.items() if can_go_on(m, before, after, backends[n])}
    return tuple(n for n, m in fit.items() if not isinstance(m, AdapterMember) or m.base in fit)


def renewed(running: Dispatcher, before: Config, after: Config) -> Dispatcher:
    """The dispatcher that `after` describes, sharing with `running` what is the same; starts nothing.

    :raises StateError: when the router state cannot be read or does not fit the embedder.
    """
    embeddings = running.router.embeddings if before.router.embedder == after.router.embedder else None
    ledger = running.ledger
    if ledger is None or before.ledger != after.ledger:
        ledger = Ledger(after.ledger.path, store_text=after.ledger.store_text)
    kept = kept_members(running, before, after)
    changed = {member.name for member in after.fleet if member not in before.fleet}
    fleet = Fleet.beside(running.fleet, kept, after, recarded=changed)
    same = {each.name for each in after.embeddings if each in before.embeddings}
    further = further_embedders([each for each in after.embeddings if each.name not in same])
    further |= {name: queue for name, queue in running.embedders.further.items() if name in same}
    return Dispatcher(fleet, make_router(after, embeddings), ledger, further)


async def start_beside(new: Dispatcher, running: Dispatcher) -> None:
    """Start what is new of `new`, and have it count on where `running` is.

    :raises PinnaceError: when it cannot serve.
    """
    await new.start()
    new.spending = running.spending  # and not what the start has read, which is that once more


async def retire(old: Dispatcher, *, beside: Dispatcher) -> None:
    """Give back what `old` does not share with `beside`; no request may be left on it."""
    await old.fleet.drain(beside=beside.fleet)
    await asyncio.to_thread(_stop_threads, old, beside)


def _stop_threads(old: Dispatcher, beside: Dispatcher) -> None:
    for name, queue in old.embedders.further.items():
        if beside.embedders.further.get(name) is not queue:
            queue.stop()
    if old.router.embeddings is not beside.router.embeddings:
        old.router.stop()
    if old.ledger is not None and old.ledger is not beside.ledger:
        old.ledger.stop()
