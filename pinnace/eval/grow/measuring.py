"""Measuring: what each candidate and each other model answers to the rows of each domain, in one engine.

A live run per model and part, each written to a folder, so that what was measured once is not asked again
after an interruption. Knows nothing of fits and decisions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnace.config import AdapterMember, Config, FleetMember
from pinnace.eval.asker import Asker, MemberAsker
from pinnace.eval.example import Example
from pinnace.eval.grow.asked import foreign_examples
from pinnace.eval.grow.teacher import Replay
from pinnace.eval.join import join_tables
from pinnace.eval.live import Settings, Told, run_live
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.models.fleet import Fleet, make_backends
from pinnace.router.routed_text import tells_of_functions
from pinnace.router.types import IntArray

SAMPLE = 150
"""Calibration rows that models other than the candidate are asked."""
FOREIGN = 300
"""Requests of the state's own table that a candidate is asked, to see what its confidence is worth there."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained specialist: its fleet member, the name of its task, and the calibration rows of its
    domain."""

    member: AdapterMember
    task: str
    calibration: tuple[Example, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of one domain: the `domain` table (its calibration rows, every model that was asked),
    and the `foreign` one (rows of the state's table, the candidate alone, not scored)."""

    domain: OutcomeTable
    foreign: OutcomeTable


def measuring_fleet(config: Config, members: Sequence[FleetMember], teacher: Replay) -> Fleet:
    """A fleet of these members and the teacher's recorded answers; starts nothing."""
    backends = make_backends(config.model_copy(update={"fleet": tuple(members)}), {})
    return Fleet({**backends, teacher.card.name: teacher})


async def measure_domain(
    candidate: Candidate,
    fleet: Fleet,
    others: Sequence[str],
    table: OutcomeTable,
    folder: Path,
    settings: Settings,
    on_done: Told,
) -> Measured:
    """Ask the candidate all calibration rows and some foreign ones, and `others` a sample of the former.

    :param table: the state's own.
    :param folder: where what is measured is kept meanwhile.
    """
    own = MemberAsker(fleet.serving(candidate.member.name))
    rows = candidate.calibration
    whole = await _table(rows, own, folder / "calibration.parquet", settings, on_done)
    parts = [whole]
    for name in others:
        asker = MemberAsker(fleet.serving(name))
        path = folder / f"sample-{name.replace('/', '-')}.parquet"
        parts.append(await _table(rows[:SAMPLE], asker, path, settings, on_done))
    foreign = foreign_examples(table, foreign_rows(table, {row.routed for row in rows}).tolist())
    strange = await _table(foreign, own, folder / "foreign.parquet", settings, on_done)
    return Measured(join_tables(parts), strange)


def foreign_rows(table: OutcomeTable, known: Collection[str], most: int = FOREIGN, seed: int = 0) -> IntArray:
    """Rows of the state's table to ask a candidate: drawn alike from every task, scored ones only.

    Requests with functions are left out, as the table does not have these.

    :param known: prompts that are none of others.
    """
    is_unknown = [bool(np.isnan(row).all()) for row in table.scores]
    order: list[int] = np.random.default_rng(seed).permutation(len(table)).tolist()
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int]] = []
    for row in order:
        if is_unknown[row] or tells_of_functions(table.prompts[row]):
            continue
        if table.prompts[row] not in known:
            rank = seen[table.tasks[row]] = seen.get(table.tasks[row], 0) + 1
            ranked.append((rank, row))
    return np.array(sorted(row for _, row in sorted(ranked)[:most]), dtype=np.int64)


def planned_requests(candidates: Sequence[Candidate], others: int, table: OutcomeTable) -> int:
    """How many requests `measure_domain` will send for all candidates."""
    foreign = min(FOREIGN, int((~np.isnan(table.scores).all(axis=1)).sum()))
    return sum(len(c.calibration) + others * len(c.calibration[:SAMPLE]) + foreign for c in candidates)


async def _table(
    examples: Sequence[Example], asker: Asker, path: Path, settings: Settings, on_done: Told
) -> OutcomeTable:
    """The outcomes of one model, from disk where they are there already."""
    known = earlier(path)
    if known is not None:
        return known
    return (await run_live(examples, [asker], settings, on_done=on_done, out=path)).table


def earlier(path: Path) -> OutcomeTable | None:
    """What an earlier, interrupted growth measured; None where it did not come so far."""
    return read_table(path) if path.exists() else None
