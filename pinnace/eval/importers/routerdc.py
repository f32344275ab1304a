"""RouterDC's outcomes: per task and split one JSON list of questions, each with a score per model.

Source: shuhao02/RouterDC, `datasets/split2_model7*/<task>_<train|test>.json` (`gsm8k-train.json`), records
`{"question": ..., "scores": {<model>: <score>}, "cluster_id": ...}`. Files without a split in their name
(`mbpp.json`) are held out upstream: `test`. For multiple choice the scores are the probability of the
right option where the model chose it and 0 where it did not; `evaluation` in `train_router_mdeberta.py`
counts any score above 0 as right there ("probability"), and so does this.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from pinnace.eval.importers.cells import score_of
from pinnace.eval.importers.file_paths import files_of, task_and_split
from pinnace.eval.importers.published import Published, table_of_published
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row, json_list

CHOICE_TASKS = ("arc_challenge", "arc_easy", "ceval", "cmmlu", "MATH_prealgebra", "mmlu")


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read RouterDC's files, or the folders that hold them; no costs are known.

    :raises TableError: names the file, the row and the key that is wrong.
    """
    rows = (row for path in files_of(paths, "*.json") for row in _rows(path))
    return table_of_published(rows, ", ".join(map(str, paths)))


def _rows(path: Path) -> Iterator[Published]:
    task, split = task_and_split(path)
    for number, row in enumerate(json_list(path)):
        question = row.fields.get("question")
        if not isinstance(question, str) or not question.strip():
            raise row.complaint("question", "text", question)
        yield Published(
            where=row.where,
            id=f"{path.stem}/{number}",
            task=task,
            prompt=question,
            scores=_scores(row, is_choice=task in CHOICE_TASKS),
            split=split or "test",
        )


def _scores(row: Row, *, is_choice: bool) -> dict[str, float]:
    given: object = row.fields.get("scores")
    if not isinstance(given, dict) or not given:
        raise row.complaint("scores", "an object of scores by model", cast(object, given))
    scores = {
        model: score_of(row, f"scores.{model}", value) for model, value in cast(dict[str, Any], given).items()
    }
    return {
        model: float(score > 0) if score == score and is_choice else score for model, score in scores.items()
    }
