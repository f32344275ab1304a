"""RouterArena's predictions and cached results: what one model answered each prompt, scored and priced.

Source: RouteWorks/RouterArena, `router_inference/predictions/<router>.json`, a list of records with
`global index` (also `global_index`), `prompt`, `prediction` (the model), `generated_result`, `accuracy`
(0 to 1), `cost` (USD) and `for_optimality` (a further model on the same prompt, an outcome like any
other); and `cached_results/<model>.jsonl`: `global_index`, `question`, `llm_selected` and
`evaluation_result` with `score` and `inference_cost`. A record that is not scored yet has nulls: not run.
Where a model ran on a prompt more than once, in one file or two, the first scored run counts. The task is
the index without its number (`ArcMMLU_655`). What the router chose is read by `pinnace.eval.predictions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, cast

from pinnace.eval.importers.cells import cost_of, score_of
from pinnace.eval.importers.file_paths import files_of
from pinnace.eval.importers.published import Published, table_of_published
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row, json_lines, json_list


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read prediction files (.json) and cached results (.jsonl), or the folders that hold them.

    :raises TableError: names the file, the row and the key that is wrong.
    """
    files = files_of(paths, "*.json", "*.jsonl")
    return table_of_published(_first_runs(files), ", ".join(map(str, paths)))


def index_of(row: Row) -> str:
    """The id of a record's prompt, however its key is spelt.

    :raises TableError: when there is none.
    """
    return row.text("global index" if "global index" in row.fields else "global_index")


def _first_runs(files: Sequence[Path]) -> Iterator[Published]:
    """All rows, without those of a model on a prompt that it has a score for already."""
    seen: set[tuple[str, str, str]] = set()
    for path in files:
        for row in _cached(path) if path.suffix == ".jsonl" else _predicted(path):
            [(model, score)] = row.scores.items()
            if (row.id, row.prompt, model) not in seen:
                yield row
            if not isnan(score):
                seen.add((row.id, row.prompt, model))


def _predicted(path: Path) -> Iterator[Published]:
    for row in json_list(path):
        fields = row.fields
        yield _published(row, "prompt", "prediction", ("accuracy", fields), ("cost", fields))


def _cached(path: Path) -> Iterator[Published]:
    for row in json_lines(path):
        given = row.fields.get("evaluation_result")
        if given is not None and not isinstance(given, dict):
            raise row.complaint("evaluation_result", "an object or null", given)
        result = cast(Mapping[str, Any], given or {})
        yield _published(row, "question", "llm_selected", ("score", result), ("inference_cost", result))


def _published(
    row: Row,
    prompt: str,
    model: str,
    score: tuple[str, Mapping[str, Any]],
    cost: tuple[str, Mapping[str, Any]],
) -> Published:
    name, index = row.text(model), index_of(row)
    return Published(
        where=row.where,
        id=index,
        task=index.rpartition("_")[0] or index,
        prompt=row.text(prompt),
        scores={name: score_of(row, score[0], score[1].get(score[0]))},
        costs={name: cost_of(row, cost[0], cost[1].get(cost[0]))},
    )
