"""RouterBench's outcomes: one wide sheet, per model a score, an answer and the cost as billed.

Source: withmartian/routerbench, `convertors/common.py` and `utils.py`, whose dataset `routerbench_0shot`
has `sample_id`, `prompt`, `eval_name` and `oracle_model_to_route_to`, and per model `<model>`,
`<model>|model_response` and `<model>|total_cost` (USD). It is published as a pickle, which runs code when
it is read: this refuses it and reads parquet or CSV. Prompts are lists of turns as text, here put
together. Where id and prompt come again the first row counts: upstream's evaluation drops repeated ids.
Answers are not taken over.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.importers.cells import cost_of, score_of
from pinnace.eval.importers.file_paths import files_of, task_and_split
from pinnace.eval.importers.published import Published, table_of_published
from pinnace.eval.sheet_rows import sheet_columns, sheet_rows
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row

PICKLES = (".pkl", ".pickle")
_COST, _ANSWER = "|total_cost", "|model_response"


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read RouterBench's sheet as parquet or CSV, whole or in parts (`arc_challenge_test.csv`).

    :raises TableError: names the file, the row and the column that is wrong; for a pickle, says how to
        convert it.
    """
    files = files_of(paths, "*.parquet", "*.csv")
    for path in files:
        _check_name(path)
    return table_of_published(_firsts(files), ", ".join(map(str, paths)))


def _check_name(path: Path) -> None:
    if path.suffix in PICKLES:
        raise TableError(
            f"{path}: expected parquet or CSV, got a pickle, which can run any code when it is read. If you "
            f"trust where it is from, convert it once where pandas is installed: python -c "
            f'"import pandas; pandas.read_pickle({path.name!r}).to_parquet({path.stem + ".parquet"!r})"'
        )
    if path.suffix not in (".parquet", ".csv"):
        raise TableError(f"{path}: expected a name that ends in .parquet or .csv, got {path.name!r}")


def _firsts(files: Sequence[Path]) -> Iterator[Published]:
    seen: set[tuple[str, str]] = set()
    for path in files:
        for row in _rows(path):
            if (row.id, row.prompt) not in seen:
                seen.add((row.id, row.prompt))
                yield row


def _rows(path: Path) -> Iterator[Published]:
    columns = sheet_columns(path)
    models = _models(columns, path)
    split = task_and_split(path)[1]
    wanted = {"sample_id", "prompt", "eval_name", *models, *(model + _COST for model in models)}
    for row in sheet_rows(path, wanted.__contains__):
        yield Published(
            where=row.where,
            id=row.text("sample_id"),
            task=row.text("eval_name"),
            prompt=_prompt(row),
            scores={model: score_of(row, model, row.fields[model]) for model in models},
            costs={model: cost_of(row, model + _COST, row.fields.get(model + _COST)) for model in models},
            split=split,
        )


def _models(columns: Sequence[str], path: Path) -> list[str]:
    """The models: columns with a column of answers or of costs beside them."""
    missing = [name for name in ("sample_id", "prompt", "eval_name") if name not in columns]
    marked = [name.removesuffix(end) for end in (_ANSWER, _COST) for name in columns if name.endswith(end)]
    models = [name for name in columns if name in set(marked)]
    missing += [name for name in dict.fromkeys(marked) if name not in models]
    if missing or not models:
        wanted = missing[0] if missing else f"<model> and <model>{_COST}"
        raise TableError(f"{path}: expected a column {wanted!r}, got {', '.join(columns)[:200]}")
    return models


def _prompt(row: Row) -> str:
    """The turns of a prompt, which stands there as a list of them turned into text."""
    text = row.text("prompt")
    if not (text.startswith("[") and text.endswith("]")):
        return text
    try:
        turns: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in cast(list[Any], turns)):
        return text
    return "\n\n".join(cast(list[str], turns)).strip() or text
