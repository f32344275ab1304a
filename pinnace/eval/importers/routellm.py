"""RouteLLM's evaluation files: MMLU and GSM8K as sheets of right and wrong, MT-Bench as judgements.

Source: lm-sys/RouteLLM, `routellm/evals/`: `mmlu/responses/mmlu_<domain>.csv` and
`gsm8k/gsm8k_responses.csv` with `prompt` and per model a column of True and False (GSM8K also
`<model>_response`, not taken over); `mt_bench/judgements.jsonl` with `question_id`, `model`, `turn` and
`score` (1 to 10, here the mean of the turns over 10; FastChat's -1 for a judgement without a rating counts
as none), whose questions are in `mt_bench/question.jsonl` (`question_id`, `category`, `turns`; the prompt
is the first turn, what upstream routes on). Prompts in a `contaminated_prompts.jsonl` (`eval_prompt`),
which `benchmarks.py` leaves out, get the split `contaminated`, all others `test`. No costs are published.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pinnace.errors import TableError
from pinnace.eval.importers.cells import score_of
from pinnace.eval.importers.file_paths import files_of
from pinnace.eval.importers.published import Published, table_of_published
from pinnace.eval.sheet_rows import sheet_columns, sheet_rows
from pinnace.eval.table import OutcomeTable
from pinnace.eval.task_rows import Row, json_lines

TOP_RATING = 10.0
NO_RATING = -1
_RESPONSE = "_response"
_PATTERNS = ("*.csv", "*judgements.jsonl", "*question.jsonl", "*contaminated_prompts.jsonl")


def read(paths: Sequence[Path]) -> OutcomeTable:
    """Read RouteLLM's files, or the folder `routellm/evals` as a whole.

    :raises TableError: names the file, the row and the column that is wrong; or when judgements come
        without their questions.
    """
    files = files_of(paths, *_PATTERNS)
    for path in files:
        if not any(path.match(pattern) for pattern in _PATTERNS):
            raise TableError(f"{path}: expected a file named {' or '.join(_PATTERNS)}, got {path.name!r}")
    contaminated = {
        row.text("eval_prompt")
        for path in files
        if path.match("*contaminated_prompts.jsonl")
        for row in json_lines(path)
    }
    return table_of_published(_rows(files, contaminated), ", ".join(map(str, paths)))


def _rows(files: Sequence[Path], contaminated: set[str]) -> Iterator[Published]:
    for path in files:
        if path.suffix == ".csv":
            yield from (_with_split(row, (row.prompt,), contaminated) for row in _sheet(path))
    yield from _judged(files, contaminated)


def _with_split(row: Published, turns: Sequence[str], contaminated: set[str]) -> Published:
    is_known = any(turn.strip() in contaminated for turn in turns)
    return replace(row, split="contaminated" if is_known else "test")


def _sheet(path: Path) -> Iterator[Published]:
    columns = sheet_columns(path)
    models = [
        name
        for name in columns
        if name not in ("", "prompt") and name.removesuffix(_RESPONSE) not in set(columns) - {name}
    ]
    if "prompt" not in columns or not models:
        raise TableError(f"{path}: expected columns 'prompt' and one per model, got {', '.join(columns)!r}")
    task = path.stem.removesuffix("_responses").removeprefix("mmlu_")
    prefix = f"mmlu/{task}" if path.stem.startswith("mmlu_") else task
    for number, row in enumerate(sheet_rows(path, {"prompt", *models}.__contains__)):
        yield Published(
            where=row.where,
            id=f"{prefix}/{number}",
            task=task,
            prompt=row.text("prompt"),
            scores={model: score_of(row, model, row.fields[model]) for model in models},
        )


def _judged(files: Sequence[Path], contaminated: set[str]) -> Iterator[Published]:
    """MT-Bench: one row per question, in the order of the questions."""
    judgements = [path for path in files if path.match("*judgements.jsonl")]
    if not judgements:
        return
    questions = _questions([path for path in files if path.match("*question.jsonl")], judgements[0])
    ratings: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in judgements:
        for row in json_lines(path):
            name = _question_id(row)
            if name not in questions:
                raise row.complaint("question_id", "one of the questions", row.fields.get("question_id"))
            rated = ratings[name][row.text("model")]
            if (score := row.fields.get("score")) != NO_RATING:
                rated.append(score_of(row, "score", score, TOP_RATING))
    for name, question in questions.items():
        if name not in ratings:
            continue
        scores = {model: _mean(rated) for model, rated in ratings[name].items()}
        row = Published(
            where=question.where,
            id=f"mtbench/{name}",
            task=question.text("category"),
            prompt=question.texts("turns")[0],
            scores=scores,
        )
        yield _with_split(row, question.texts("turns"), contaminated)


def _questions(files: Sequence[Path], judgements: Path) -> Mapping[str, Row]:
    if not files:
        raise TableError(
            f"{judgements}: expected MT-Bench's questions with it (question.jsonl), got judgements alone"
        )
    return {_question_id(row): row for path in files for row in json_lines(path)}


def _question_id(row: Row) -> str:
    value = row.fields.get("question_id")
    if not isinstance(value, int | str) or value == "":
        raise row.complaint("question_id", "a number or text", value)
    return str(value)


def _mean(ratings: Sequence[float]) -> float:
    known = [rating for rating in ratings if rating == rating]
    return sum(known) / len(known) if known else float("nan")
