"""What a foreign router chose: one model for every prompt, by id.

Reads choices and matches them to the rows of an outcome table; knows nothing of how they are judged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.sheet_rows import sheet_rows
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row, json_lines, json_list
from pinnace.router.types import IntArray

NAMED = 3


@dataclass(frozen=True, slots=True)
class Predictions:
    """The choices of the router `name`: `models[i]` for the prompt `ids[i]`. Ids differ."""

    name: str
    ids: tuple[str, ...]
    models: tuple[str, ...]


def read_predictions(path: Path) -> Predictions:
    """Read a prediction file; the router is called what the file is.

    RouterArena's .json (RouteWorks/RouterArena, `router_inference/predictions/<router>.json`: records of
    `global index` and `prediction`; those `for_optimality` are no choice of the router and left out), or
    .jsonl, .csv and .parquet with the columns `id` and `model`.

    :raises TableError: names the file, the row and the column that is wrong, or an id that comes twice.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        raise TableError(f"{path}: expected a name that ends in {', '.join(_READERS)}, got {path.name!r}")
    chosen: dict[str, str] = {}
    for row in read(path):
        if row.fields.get("for_optimality"):
            continue
        id_key = _first_key(row, ("id", "global index", "global_index"))
        name, model = row.text(id_key), row.text(_first_key(row, ("model", "prediction")))
        if name in chosen:
            raise row.complaint(id_key, "an id of its own", name)
        chosen[name] = model
    if not chosen:
        raise TableError(f"{path}: expected at least one choice, got none")
    return Predictions(path.stem, tuple(chosen), tuple(chosen.values()))


def chosen_columns(predictions: Predictions, table: OutcomeTable) -> IntArray:
    """For each row of `table` the column of the model that was chosen for it, of shape (n,).

    Choices for ids that the table does not have are left aside.

    :raises TableError: when rows have no choice (how many, and the first of them), or a model is not in
        the table (with the nearest that is).
    """
    chosen = dict(zip(predictions.ids, predictions.models, strict=True))
    missing = [name for name in table.ids if name not in chosen]
    if missing:
        shown = ", ".join(map(repr, missing[:NAMED])) + (", ..." if len(missing) > NAMED else "")
        raise TableError(
            f"{predictions.name}: expected a choice for each of the table's {len(table)} rows, got none "
            f"for {len(missing)}: {shown}"
        )
    columns = {model: column for column, model in enumerate(table.models)}
    for name in table.ids:
        if chosen[name] not in columns:
            raise _unknown(predictions.name, name, chosen[name], tuple(columns))
    return np.array([columns[chosen[name]] for name in table.ids], dtype=np.int64)


def _unknown(router: str, name: str, model: str, models: tuple[str, ...]) -> TableError:
    nearest = get_close_matches(model, models, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return TableError(f"{router}: id {name!r}: expected one of the table's models, got {model!r}{hint}")


def _first_key(row: Row, keys: tuple[str, ...]) -> str:
    return next((key for key in keys if key in row.fields), keys[0])


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".json": json_list,
    ".jsonl": json_lines,
    ".csv": sheet_rows,
    ".parquet": sheet_rows,
}
