"""The union of outcome tables: the same prompts run through other models, or other prompts.

Pure. Knows nothing of files.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import FloatArray, OutcomeTable

T = TypeVar("T")


def join_tables(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """All rows and all models of `tables`, rows matched by id, in order of first appearance.

    A row's task and split are those of the first table that has it.

    :raises TableError: when an id stands for two prompts, or a cell for two outcomes.
    """
    rows = _first_rows(tables)
    at = {name: position for position, name in enumerate(rows)}
    models = tuple(dict.fromkeys(model for table in tables for model in table.models))
    scores = np.full((len(rows), len(models)), np.nan)
    costs = scores.copy()
    for table in tables:
        columns = [models.index(model) for model in table.models]
        into = np.ix_([at[name] for name in table.ids], columns)
        scores[into] = _filled(scores[into], table.scores, table, "score")
        costs[into] = _filled(costs[into], table.costs, table, "cost")
    firsts = list(rows.values())
    return OutcomeTable(
        ids=tuple(rows),
        tasks=tuple(table.tasks[row] for table, row in firsts),
        prompts=tuple(table.prompts[row] for table, row in firsts),
        models=models,
        scores=scores,
        costs=costs,
        splits=_splits(firsts),
        evidence=_gather(tables, [table.evidence for table in tables], at),
        answers=_gather(tables, [table.answers for table in tables], at),
    )


def _first_rows(tables: Sequence[OutcomeTable]) -> dict[str, tuple[OutcomeTable, int]]:
    """Where each id is first found."""
    rows: dict[str, tuple[OutcomeTable, int]] = {}
    for table in tables:
        for row, (name, prompt) in enumerate(zip(table.ids, table.prompts, strict=True)):
            first, first_row = rows.setdefault(name, (table, row))
            if first.prompts[first_row] != prompt:
                raise TableError(
                    f"id {name!r} stands for two prompts: expected {first.prompts[first_row][:80]!r}, "
                    f"got {prompt[:80]!r}"
                )
    return rows


def _filled(old: FloatArray, new: FloatArray, table: OutcomeTable, what: str) -> FloatArray:
    clash = np.argwhere(~np.isnan(old) & ~np.isnan(new) & (old != new))
    if clash.size:
        row, column = (int(position) for position in clash[0])
        raise TableError(
            f"id {table.ids[row]!r}: {what}:{table.models[column]}: two tables differ: "
            f"expected {old[row, column]}, got {new[row, column]}"
        )
    return np.where(np.isnan(old), new, old)


def _splits(firsts: Sequence[tuple[OutcomeTable, int]]) -> tuple[str, ...] | None:
    if all(table.splits is None for table, _ in firsts):
        return None
    return tuple(table.splits[row] if table.splits else "" for table, row in firsts)


def _gather(
    tables: Sequence[OutcomeTable], parts: Sequence[Mapping[str, tuple[T | None, ...]]], at: Mapping[str, int]
) -> dict[str, tuple[T | None, ...]]:
    """Per model one entry for every row of the union: the first that a table has."""
    gathered: dict[str, list[T | None]] = {}
    for table, part in zip(tables, parts, strict=True):
        for model, entries in part.items():
            column = gathered.setdefault(model, [None] * len(at))
            for name, entry in zip(table.ids, entries, strict=True):
                if column[at[name]] is None:
                    column[at[name]] = entry
    return {model: tuple(column) for model, column in gathered.items()}
