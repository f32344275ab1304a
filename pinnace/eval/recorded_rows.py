"""The rows of a replay: a table cut to a pool, and its splits into rows to learn from and rows to test on.

Rows that a model of the pool did not run on are left out, and so are prompts that come again: a prompt in
both parts would be remembered, not predicted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from pinnace.errors import TableError
from pinnace.eval.pool import Pool
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.estimators.features import Seen, look
from pinnace.router.types import IntArray

Embed = Callable[[Sequence[str]], FloatArray]
TRAIN_SHARE = 0.7
MIN_TRAIN = 50


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """`n` rows whose outcomes are known for all `m` models of the pool.

    `scores` (n, m) in 0..1, `costs` (n, m) in USD, all 0 where the table has none; `source` (n,) are the
    rows' places in the table; `dropped` says how many rows were left out, and why.
    """

    ids: tuple[str, ...]
    tasks: tuple[str, ...]
    prompts: tuple[str, ...]
    splits: tuple[str, ...]
    scores: FloatArray
    costs: FloatArray
    seen: Seen
    pool: Pool
    source: IntArray
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def small(self) -> IntArray:
        """Columns of the small models."""
        return np.arange(len(self.pool.small))

    @property
    def large(self) -> int | None:
        """Column of the large model."""
        return None if self.pool.large is None else len(self.pool.small)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of the recorded rows, in order; `rows` (k,) are their places among all recorded ones."""

    rows: IntArray
    seen: Seen
    scores: FloatArray
    costs: FloatArray
    tasks: tuple[str, ...]
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What a method may learn from, what it is tested on, and the seed of whatever it draws."""

    train: Part
    test: Part
    small: IntArray
    large: int | None
    seed: int


def recorded_rows(
    table: OutcomeTable, pool: Pool, embed: Embed, tasks: Sequence[str] = (), *, keep_repeats: bool = False
) -> Recorded:
    """The rows of `tasks`, or of all, that every model of the pool ran on.

    :raises TableError: as `usable_rows` does.
    """
    rows, dropped = usable_rows(table, pool, tasks, keep_repeats=keep_repeats)
    return record(table, pool, rows, dropped, embed([table.prompts[int(row)] for row in rows]))


def usable_rows(
    table: OutcomeTable, pool: Pool, tasks: Sequence[str] = (), *, keep_repeats: bool = False
) -> tuple[IntArray, dict[str, int]]:
    """Rows of `table` (k,) that a replay can use, and how many were dropped for which reason.

    :param tasks: only these; all by default.
    :param keep_repeats: keep prompts that come again, where a published protocol does.
    :raises TableError: when a task is not in the table, or no row is left.
    """
    unknown = sorted(set(tasks) - set(table.tasks))
    if unknown:
        known = ", ".join(sorted(set(table.tasks)))
        raise TableError(f"--tasks: expected tasks of the table, got {unknown!r}; it has {known}")
    wanted = np.array([not tasks or task in tasks for task in table.tasks])
    columns = [table.models.index(model) for model in pool.models]
    run = wanted & ~np.isnan(table.scores[:, columns]).any(axis=1)
    costs = table.costs[:, columns]
    priced = run & (np.isnan(costs[run]).all() | ~np.isnan(costs).any(axis=1))
    first = priced if keep_repeats else _first_of_each(table.prompts, priced)
    dropped = {
        "not run by every model": int(wanted.sum() - run.sum()),
        "without a cost": int(run.sum() - priced.sum()),
        "a prompt that comes again": int(priced.sum() - first.sum()),
    }
    if not first.any():
        left_out = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise TableError(
            f"expected rows that all of {', '.join(pool.models)} ran on, got none; left out: {left_out}"
        )
    return np.flatnonzero(first).astype(np.int64), dropped


def record(
    table: OutcomeTable, pool: Pool, rows: IntArray, dropped: dict[str, int], vectors: FloatArray
) -> Recorded:
    """The chosen rows with their features; `vectors` (k, dim) are the embeddings of their prompts."""
    columns = [table.models.index(model) for model in pool.models]
    places: list[int] = rows.tolist()
    prompts = tuple(table.prompts[row] for row in places)
    splits = table.splits or ("",) * len(table)
    return Recorded(
        ids=tuple(table.ids[row] for row in places),
        tasks=tuple(table.tasks[row] for row in places),
        prompts=prompts,
        splits=tuple(splits[row] for row in places),
        scores=table.scores[rows][:, columns],
        costs=np.nan_to_num(table.costs[rows][:, columns], nan=0.0),
        seen=look(prompts, vectors),
        pool=pool,
        source=rows,
        dropped=dropped,
    )


def hash_split(
    recorded: Recorded, seed: int, *, share: float = TRAIN_SHARE, rows: int | None = None
) -> Split:
    """Split by a hash of each id and the seed, so that a row's part does not depend on the other rows.

    :param rows: keep only so many rows to learn from, those of the smallest hashes.
    :raises TableError: when fewer than 50 rows are left to learn from, or none to test on.
    """
    drawn = np.array([_fraction(name, seed) for name in recorded.ids])
    train = np.flatnonzero(drawn < share)
    if rows is not None:
        train = np.sort(train[np.argsort(drawn[train], kind="stable")[:rows]])
    return split_at(recorded, train, np.flatnonzero(drawn >= share), seed)


def split_at(recorded: Recorded, train: IntArray, test: IntArray, seed: int) -> Split:
    """The split with these rows to learn from and to test on."""
    if len(train) < MIN_TRAIN or not len(test):
        raise TableError(
            f"expected at least {MIN_TRAIN} rows to learn from and 1 to test on, "
            f"got {len(train)} and {len(test)}"
        )
    return Split(part_of(recorded, train), part_of(recorded, test), recorded.small, recorded.large, seed)


def part_of(recorded: Recorded, rows: IntArray) -> Part:
    """These rows of the recorded ones."""
    places: list[int] = rows.tolist()
    return Part(
        rows=rows,
        seen=recorded.seen.take(rows),
        scores=recorded.scores[rows],
        costs=recorded.costs[rows],
        tasks=tuple(recorded.tasks[row] for row in places),
        prompts=tuple(recorded.prompts[row] for row in places),
    )


def shuffled(recorded: Recorded, seed: int) -> Recorded:
    """The same rows with the outcomes of others: nothing can be learnt from them but the models' means."""
    order = np.random.default_rng(seed).permutation(len(recorded))
    return replace(recorded, scores=recorded.scores[order])


def _fraction(name: str, seed: int) -> float:
    return int(sha256(f"{seed}:{name}".encode()).hexdigest()[:12], 16) / 16**12


def _first_of_each(prompts: Sequence[str], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the allowed rows have a prompt that no allowed row before them has, white space apart."""
    found = np.zeros(len(prompts), dtype=np.bool_)
    known: set[str] = set()
    for row in map(int, np.flatnonzero(allowed)):
        prompt = " ".join(prompts[row].split())
        found[row] = prompt not in known
        known.add(prompt)
    return found
