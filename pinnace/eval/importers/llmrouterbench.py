"""LLMRouterBench's results: one JSON file per task set, split and model, with a record per prompt.

Source: ynulihao/LLMRouterBench (earlier OpenRouterBench), `data_collector/storage.py`:
`results/bench/<dataset>/<split>/<model>/<dataset>-<split>-<model>-<YYYYMMDD_HHMMSS>.json`, an object with
`dataset_name`, `split`, `model_name` (else the folders say them), `demo` and `records` of `index`, `prompt`,
`score` (0 to 1, or null where it was not judged or failed), `cost` (USD) and token counts. As in
`baselines/data_loader.py`, demo runs are left out and of several runs the latest counts. A cost of 0
throughout means that no price was known (`config/data_collector_small_model_config.yaml`), so it is none
here. Records of a request that failed (no score, no tokens) are not run. What the cluster routers are
trained on is the layout `avengers`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.importers.cells import cost_of, score_of
from pinnace.eval.importers.file_paths import files_of
from pinnace.eval.importers.published import Published, table_of_published, without_unpriced
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row

_RUN_KEYS = ("dataset_name", "split", "model_name")
_STAMP = re.compile(r"(\d{8}_\d{6})\.json$")


@dataclass(frozen=True, slots=True)
class _Result:
    """One result file: what was run, when, and the rows it gives."""

    run: tuple[str, str, str]
    stamp: str
    rows: tuple[Published, ...]


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read result files, or the folders that hold them (`results/bench`).

    :raises TableError: names the file, the record and the key that is wrong.
    """
    latest: dict[tuple[str, str, str], _Result] = {}
    for path in files_of(paths, "*.json"):
        result = _result(path)
        if result is not None and (result.run not in latest or latest[result.run].stamp <= result.stamp):
            latest[result.run] = result
    rows = (row for result in latest.values() for row in result.rows)
    return without_unpriced(table_of_published(rows, ", ".join(map(str, paths))))


def _result(path: Path) -> _Result | None:
    """The result in a file; None for a demo run."""
    whole = Row(str(path), _object(path))
    if whole.fields.get("demo", False):
        return None
    task, split, model = _run(whole, path)
    records = whole.fields.get("records")
    if not isinstance(records, list):
        raise whole.complaint("records", "a list of records", records)
    rows = [
        _row(Row(f"{path}: record {number}", _fields(path, number, record)), task, split, model)
        for number, record in enumerate(cast(list[Any], records), start=1)
    ]
    stamp = _STAMP.search(path.name)
    return _Result((task, split, model), stamp[1] if stamp else "", tuple(row for row in rows if row))


def _run(whole: Row, path: Path) -> tuple[str, str, str]:
    """The task set, split and model of a file: what it says, else the folders that it lies in."""
    folders = dict(zip(_RUN_KEYS, path.parts[-4:-1], strict=False)) if len(path.parts) >= 4 else {}
    named = Row(whole.where, {**folders, **whole.fields})
    task, split, model = (named.text(key) for key in _RUN_KEYS)
    return task, split, model


def _row(record: Row, task: str, split: str, model: str) -> Published | None:
    """One record; None where the run failed before it had a prompt."""
    score = score_of(record, "score", record.fields.get("score"))
    is_run = score == score or bool(record.fields.get("prompt_tokens"))
    if not is_run and not record.fields.get("prompt"):
        return None
    index = record.fields.get("index")
    if not isinstance(index, int | str) or index == "":
        raise record.complaint("index", "a number or text", index)
    return Published(
        where=record.where,
        id=f"{task}/{split}/{index}",
        task=task,
        prompt=prompt_text(record, "prompt"),
        scores={model: score},
        costs={model: cost_of(record, "cost", record.fields.get("cost"))} if is_run else {},
        split=split,
    )


def prompt_text(row: Row, key: str) -> str:
    """A prompt that is text, or a list or object of messages, which becomes its JSON text.

    :raises TableError: when it is anything else, or empty.
    """
    value: object = row.fields.get(key)
    if isinstance(value, list | dict) and value:
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) or not value.strip():
        raise row.complaint(key, "text", cast(object, value))
    return value


def _object(path: Path) -> Mapping[str, Any]:
    try:
        parsed: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise TableError(f"{path}: not readable: {error.strerror}") from None
    except ValueError as error:
        raise TableError(f"{path}: expected JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise TableError(f"{path}: expected a JSON object with 'records', got {type(parsed).__name__}")
    return cast(Mapping[str, Any], parsed)


def _fields(path: Path, number: int, record: object) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise TableError(f"{path}: record {number}: expected a JSON object, got {repr(record)[:80]}")
    return cast(Mapping[str, Any], record)
