"""What the Avengers routers train and test on: a line per prompt with the score of every model.

Source: ZhangYiqun018/Avengers, `core/generate_rank_router.py` (`query`, `dataset`, `records` of score by
model, as JSON lines or a JSON list) and ynulihao/LLMRouterBench,
`baselines/adaptors/avengerspro_adaptor.py`, which adds `index` and `usages` (per model `cost` in USD,
`prompt_tokens`, `completion_tokens`). The adaptor writes a score of 0 with no tokens for models that were
not run; here they are not run. A cost of 0 throughout means that no price was known, so it is none here.
The split is what the file is called (`train.jsonl`, `test.jsonl`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.importers.cells import cost_of, score_of
from pinnace.eval.importers.file_paths import files_of, task_and_split
from pinnace.eval.importers.llmrouterbench import prompt_text
from pinnace.eval.importers.published import Published, table_of_published, without_unpriced
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row, json_lines, json_list

SPLITS = ("train", "test", "val", "valid")


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read training and test files (.jsonl, .json), or the folders that hold `*.jsonl`.

    :raises TableError: names the file, the row and the key that is wrong.
    """
    rows = (row for path in files_of(paths, "*.jsonl") for row in _rows(path))
    return without_unpriced(table_of_published(rows, ", ".join(map(str, paths))))


def _rows(path: Path) -> Iterator[Published]:
    split = path.stem if path.stem in SPLITS else task_and_split(path)[1]
    for number, row in enumerate(_published_rows(path)):
        task = row.text("dataset")
        usages: Mapping[str, Any] = _by_model(row, "usages") if "usages" in row.fields else {}
        ran = {m: v for m, v in _by_model(row, "records").items() if not _is_filled_in(v, usages.get(m))}
        yield Published(
            where=row.where,
            id=f"{task}/{_index(row, otherwise=f'{path.stem}-{number}')}",
            task=task,
            prompt=prompt_text(row, "query"),
            scores={model: score_of(row, f"records.{model}", score) for model, score in ran.items()},
            costs={model: _cost(row, model, usages[model]) for model in ran if model in usages},
            split=split,
        )


def _published_rows(path: Path) -> Iterator[Row]:
    """A file of either name may hold a list or lines."""
    try:
        with path.open("rb") as file:
            is_list = file.read(1) == b"["
    except OSError as error:
        raise TableError(f"{path}: not readable: {error.strerror}") from None
    return json_list(path) if is_list else json_lines(path)


def _index(row: Row, otherwise: str) -> str:
    index = row.fields.get("index")
    if index is not None and not isinstance(index, int | str):
        raise row.complaint("index", "a number or text", index)
    return otherwise if index is None else str(index)


def _by_model(row: Row, key: str) -> Mapping[str, Any]:
    given: object = row.fields.get(key)
    if not isinstance(given, dict) or not given:
        raise row.complaint(key, "an object by model", cast(object, given))
    return cast(Mapping[str, Any], given)


def _is_filled_in(score: object, usage: object) -> bool:
    """Whether the adaptor put in a model that was not run: a score of 0 that took no tokens."""
    if not isinstance(usage, dict) or score != 0:
        return False
    tokens = cast(Mapping[str, Any], usage)
    return tokens.get("prompt_tokens") == 0 and tokens.get("completion_tokens") == 0


def _cost(row: Row, model: str, usage: object) -> float:
    if not isinstance(usage, dict):
        raise row.complaint(f"usages.{model}", "an object with a cost", usage)
    return cost_of(row, f"usages.{model}.cost", cast(Mapping[str, Any], usage).get("cost"))
