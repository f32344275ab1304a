"""Rows of published outcomes, and how they become one outcome table.

Every importer yields these; knows nothing of files or layouts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import FloatArray, OutcomeTable


@dataclass(frozen=True, slots=True)
class Published:
    """One prompt, and what a published file says of some models on it.

    `scores` are in [0, 1] and `costs` in USD, by model; NaN or left out where nothing is known. `where`
    is the file and row that errors name.
    """

    where: str
    id: str
    task: str
    prompt: str
    scores: Mapping[str, float]
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    split: str | None = None


def table_of_published(rows: Iterable[Published], source: str) -> OutcomeTable:
    """One table row for every id and prompt; rows that have both in common are put together.

    An id that comes again with another prompt becomes `id#2`. Models stand in order of appearance.

    :param source: what the error calls the files when they hold no outcome at all.
    :raises TableError: when two rows differ in an outcome of the same model on the same prompt.
    """
    published = list(rows)
    models = tuple(dict.fromkeys(model for row in published for model in row.scores))
    if not models:
        raise TableError(f"{source}: expected at least one scored row, got none")
    places: dict[tuple[str, str], int] = {}
    at = [places.setdefault((row.id, row.prompt), len(places)) for row in published]
    firsts: dict[int, Published] = {}
    for place, row in zip(at, published, strict=True):
        firsts.setdefault(place, row)
    heads = list(firsts.values())
    return OutcomeTable(
        ids=_distinct([row.id for row in heads], source),
        tasks=tuple(row.task for row in heads),
        prompts=tuple(row.prompt for row in heads),
        models=models,
        scores=_filled(published, [row.scores for row in published], at, models, "score"),
        costs=_filled(published, [row.costs for row in published], at, models, "cost"),
        splits=tuple(row.split or "" for row in heads) if any(row.split for row in heads) else None,
    )


def without_unpriced(table: OutcomeTable) -> OutcomeTable:
    """The same table where a model whose every cost is 0 has none: nobody had set its price."""
    known = ~np.isnan(table.costs)
    unpriced = known.any(axis=0) & (np.where(known, table.costs, 0.0) == 0.0).all(axis=0)
    costs = np.where(unpriced, np.nan, table.costs)
    return OutcomeTable(
        table.ids, table.tasks, table.prompts, table.models, table.scores, costs, table.splits
    )


def _distinct(ids: Sequence[str], source: str) -> tuple[str, ...]:
    times: dict[str, int] = {}
    distinct: list[str] = []
    for name in ids:
        times[name] = times.get(name, 0) + 1
        distinct.append(name if times[name] == 1 else f"{name}#{times[name]}")
    if len(set(distinct)) < len(distinct):
        raise TableError(f"{source}: id: a repeated id clashes with one that ends in '#2' or higher")
    return tuple(distinct)


def _filled(
    rows: Sequence[Published],
    cells: Sequence[Mapping[str, float]],
    at: Sequence[int],
    models: Sequence[str],
    what: str,
) -> FloatArray:
    """The (n, m) array of the known cells."""
    columns = {model: column for column, model in enumerate(models)}
    array = np.full((max(at) + 1, len(models)), np.nan)
    for row, outcomes, place in zip(rows, cells, at, strict=True):
        line = array[place]
        for model, value in outcomes.items():
            column = columns.get(model)
            if column is None or isnan(value):
                continue
            if not isnan(old := line[column]) and old != value:
                raise TableError(
                    f"{row.where}: {what} of {model}: expected {float(old)} as in an earlier row of id "
                    f"{row.id!r}, got {value}"
                )
            line[column] = value
    return array
