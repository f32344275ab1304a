"""The outcome table: one row per prompt; per model a score, a cost and what is known of the answer.

Values, their validation and their union. Knows nothing of files (`pinnace.eval.table_file`), of how
the outcomes were come by, or of what they are used for.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pinnace.errors import TableError

FloatArray = npt.NDArray[np.float64]
T = TypeVar("T")
Columns = Mapping[str, Sequence[Any]]
EvidenceColumn = tuple[Mapping[str, Any] | None, ...]
AnswerColumn = tuple[str | None, ...]

TEXT_COLUMNS = ("id", "task", "split", "prompt")
MODEL_COLUMNS = ("score:", "cost:", "evidence:", "answer:")


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeTable:
    """Outcomes of `m` models on `n` prompts.

    `scores` (n, m) are in [0, 1] and `costs` (n, m) in USD; NaN where not run or not known. `evidence`
    and `answers` hold, for the models that have them, one entry per row. Ids differ.
    """

    ids: tuple[str, ...]
    tasks: tuple[str, ...]
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    scores: FloatArray
    costs: FloatArray
    splits: tuple[str, ...] | None = None
    evidence: Mapping[str, EvidenceColumn] = field(default_factory=dict[str, EvidenceColumn])
    answers: Mapping[str, AnswerColumn] = field(default_factory=dict[str, AnswerColumn])

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.models))
        assert self.scores.shape == shape, (self.scores.shape, shape)
        assert self.costs.shape == shape, (self.costs.shape, shape)
        assert len(set(self.ids)) == len(self.ids), "ids must differ"

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "OutcomeTable":
        """The table of these of its rows, in this order."""

        def taken(entries: Sequence[T]) -> tuple[T, ...]:
            return tuple(entries[row] for row in rows)

        return OutcomeTable(
            ids=taken(self.ids),
            tasks=taken(self.tasks),
            prompts=taken(self.prompts),
            models=self.models,
            scores=self.scores[list(rows)],
            costs=self.costs[list(rows)],
            splits=None if self.splits is None else taken(self.splits),
            evidence={model: taken(entries) for model, entries in self.evidence.items()},
            answers={model: taken(texts) for model, texts in self.answers.items()},
        )

    def columns(self) -> dict[str, list[Any]]:
        """The table as named columns of plain values, as a file holds them; None where there is nothing."""
        columns: dict[str, list[Any]] = {"id": list(self.ids), "task": list(self.tasks)}
        if self.splits is not None:
            columns["split"] = list(self.splits)
        columns["prompt"] = list(self.prompts)
        for j, model in enumerate(self.models):
            columns[f"score:{model}"] = _nullable(self.scores[:, j])
            columns[f"cost:{model}"] = _nullable(self.costs[:, j])
        for model, entries in self.evidence.items():
            columns[f"evidence:{model}"] = [e if e is None else json.dumps(e) for e in entries]
        for model, texts in self.answers.items():
            columns[f"answer:{model}"] = list(texts)
        return columns


def table_of(columns: Columns, source: str) -> OutcomeTable:
    """Turn named columns of plain values into a table; columns it does not know are ignored.

    :param source: what errors call the table, such as its file.
    :raises TableError: names the source, the row (from 1), the column, what was expected and what was got.
    """
    prompts = _texts(columns, "prompt", source)
    models = _models(columns, source)
    return OutcomeTable(
        ids=_distinct(_texts(columns, "id", source), prompts, source),
        tasks=_texts(columns, "task", source, may_be_empty=True),
        prompts=prompts,
        models=models,
        scores=_numbers(columns, "score:", models, source, top=1.0, expected="a number from 0 to 1"),
        costs=_numbers(columns, "cost:", models, source, top=sys.float_info.max, expected="USD, 0 or more"),
        splits=tuple(value or "" for value in _texts_or_none(columns, "split", source))
        if "split" in columns
        else None,
        evidence={
            m: _objects(columns, f"evidence:{m}", source) for m in models if f"evidence:{m}" in columns
        },
        answers={
            m: _texts_or_none(columns, f"answer:{m}", source) for m in models if f"answer:{m}" in columns
        },
    )


def is_known_column(name: str) -> bool:
    """Whether an outcome table has a meaning for a column of this name."""
    return name in TEXT_COLUMNS or name.startswith(MODEL_COLUMNS)


def complaint(source: str, row: int, column: str, expected: str, got: object) -> TableError:
    """The error for one wrong cell; `row` counts from 0 here and from 1 in the message."""
    text = repr(got)
    short = text if len(text) <= 80 else text[:77] + "..."
    return TableError(f"{source}: row {row + 1}: {column}: expected {expected}, got {short}")


def _models(columns: Columns, source: str) -> tuple[str, ...]:
    models = tuple(name.removeprefix("score:") for name in columns if name.startswith("score:"))
    if not models:
        raise TableError(f"{source}: expected at least one column 'score:<model>', got {sorted(columns)!r}")
    for name in columns:
        if name.startswith(MODEL_COLUMNS) and name.split(":", 1)[1] not in models:
            raise TableError(f"{source}: column {name!r} has no 'score:{name.split(':', 1)[1]}' beside it")
    return models


def _texts(columns: Columns, name: str, source: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
    if name not in columns:
        raise TableError(f"{source}: expected a column {name!r}, got {sorted(columns)!r}")
    for row, value in enumerate(columns[name]):
        if not isinstance(value, str) or not (value or may_be_empty):
            raise complaint(source, row, name, "text", value)
    return tuple(columns[name])


def _texts_or_none(columns: Columns, name: str, source: str) -> tuple[str | None, ...]:
    for row, value in enumerate(columns[name]):
        if value is not None and not isinstance(value, str):
            raise complaint(source, row, name, "text or nothing", value)
    return tuple(columns[name])


def _distinct(ids: tuple[str, ...], prompts: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Ids that differ: one that comes again with another prompt, as in RouterBench, becomes `id#2`."""
    seen: dict[str, list[str]] = {}
    distinct: list[str] = []
    for row, (name, prompt) in enumerate(zip(ids, prompts, strict=True)):
        earlier = seen.setdefault(name, [])
        if prompt in earlier:
            raise complaint(source, row, "id", "an id of its own", name)
        earlier.append(prompt)
        distinct.append(name if len(earlier) == 1 else f"{name}#{len(earlier)}")
    if len(set(distinct)) < len(distinct):
        raise TableError(f"{source}: id: a repeated id clashes with one that ends in '#2' or higher")
    return tuple(distinct)


def _numbers(
    columns: Columns, prefix: str, models: Sequence[str], source: str, *, top: float, expected: str
) -> FloatArray:
    rows = len(columns["id"])
    array = np.full((rows, len(models)), np.nan)
    for j, model in enumerate(models):
        values = columns.get(name := prefix + model, [None] * rows)
        for row, value in enumerate(values):
            if value is None or value != value:
                continue
            if not isinstance(value, int | float) or not 0 <= value <= top:
                raise complaint(source, row, name, expected, value)
            array[row, j] = value
    return array


def _objects(columns: Columns, name: str, source: str) -> EvidenceColumn:
    objects: list[Mapping[str, Any] | None] = []
    for row, value in enumerate(columns[name]):
        try:
            parsed: Any = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise complaint(source, row, name, "a JSON object", value) from None
        if parsed is not None and not isinstance(parsed, dict):
            raise complaint(source, row, name, "a JSON object", value)
        objects.append(cast(Mapping[str, Any] | None, parsed))
    return tuple(objects)


def _nullable(values: FloatArray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
