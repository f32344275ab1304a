"""Routing measured: real route decisions, real gates and the real cascade over answers of running members.

Only the teacher's answers are told again. Knows nothing of how a router came about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnace.config import AdapterMember, AnyPolicy
from pinnace.eval.asker import RouteAsker
from pinnace.eval.example import Example
from pinnace.eval.grow.measuring import earlier
from pinnace.eval.live import Settings, Told, run_live
from pinnace.eval.table import FloatArray
from pinnace.models.fleet import Fleet
from pinnace.models.recarded import Recarded, engine_of
from pinnace.router.dispatch import AUTO, Dispatcher
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.router import Router
from pinnace.router.state import RouterState
from pinnace.router.types import Embedder


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """What became of n requests: who answered, the score of the final answer and USD, (n,) each."""

    models: tuple[str, ...]
    scores: FloatArray
    usd: FloatArray

    def small_share(self, teacher: str) -> float:
        """The share that something other than the teacher answered."""
        return float(np.mean([model != teacher for model in self.models])) if self.models else 0.0

    def answered(self) -> Mapping[str, float]:
        """The share that each model answered."""
        return {name: self.models.count(name) / len(self.models) for name in dict.fromkeys(self.models)}


def fleet_with(fleet: Fleet, members: Sequence[AdapterMember], without: Sequence[str] = ()) -> Fleet:
    """The same running fleet, in which these members are said otherwise of, and others are not there.

    :param members: with everything that they have from their bases.
    """
    backends = {name: backend for name, backend in fleet.backends.items() if name not in without}
    for member in members:
        engine = engine_of(backends[member.name])
        assert engine is not None, "a backend has an end"
        backends[member.name] = Recarded(engine, member)
    same = Fleet(backends)
    same.status = {name: fleet.status[name] for name in backends}
    return same


async def routed(
    examples: Sequence[Example],
    fleet: Fleet,
    state: RouterState,
    policy: AnyPolicy,
    embedder: Embedder,
    settings: Settings,
    *,
    out: Path,
    on_done: Told,
) -> Routed:
    """Ask every example of the fleet by its route.

    :param out: where the outcomes are kept meanwhile; an earlier run's are taken from there.
    """
    if not examples:
        return Routed((), np.zeros(0), np.zeros(0))
    table = earlier(out)
    if table is None:
        queue = EmbeddingQueue(embedder)
        router = Router(state, queue, policy)
        router.start()
        try:
            router.prepare(fleet.cards())
            asker = RouteAsker(Dispatcher(fleet, router))
            table = (await run_live(examples, [asker], settings, on_done=on_done, out=out)).table
        finally:
            router.stop()
    told = [dict(entry or {}) for entry in table.evidence.get(AUTO, (None,) * len(table))]
    names = tuple(str(entry.get("answered_by", "nobody")) for entry in told)
    return Routed(names, np.nan_to_num(table.scores[:, 0]), np.nan_to_num(table.costs[:, 0]))
