"""Pairs of a right and a wrong answer, the wrong ones from what a model itself writes.

The model is sampled as it serves: through a backend, held to the schemas of the tools where a row has some,
so that what it gets wrong is what it would get wrong. Who scores is the caller's business.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pinnace.errors import RequestError
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, Message, Request
from pinnace.models.tool_turns import AFTER_NAME, BETWEEN_CALLS, CLOSING, OPENING
from pinnace.models.training.rows import TrainingRow

Scorer = Callable[[TrainingRow, str], float]
"""How right a text is as the answer to a row: 1 is right."""


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One answer that a model wrote to a row's prompt, and how right it is in [0, 1]."""

    row: TrainingRow
    answer: str
    score: float


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A row, whose answer is preferred, and an answer to the same prompt that is not."""

    row: TrainingRow
    rejected: str


def preference_pairs(
    samples: Iterable[ScoredSample], *, bar: float = 1.0, most_per_row: int = 2
) -> tuple[PreferencePair, ...]:
    """Each row with the wrong answers that were written to it most often, each once.

    :param bar: the score below which an answer is wrong.
    :param most_per_row: how many pairs one row may make.
    """
    wrong: dict[str, Counter[str]] = {}
    rows: dict[str, TrainingRow] = {}
    for sample in samples:
        if sample.score < bar and sample.answer.strip() not in ("", sample.row.answer.strip()):
            rows.setdefault(repr(sample.row), sample.row)
            wrong.setdefault(repr(sample.row), Counter())[sample.answer] += 1
    return tuple(
        PreferencePair(row, answer)
        for key, row in rows.items()
        for answer, _ in wrong[key].most_common(most_per_row)
    )


async def sample_answers(
    rows: Sequence[TrainingRow],
    backend: Backend,
    score: Scorer,
    *,
    n: int = 4,
    temperature: float = 0.8,
    max_tokens: int = 256,
    seed: int = 0,
    concurrency: int = 16,
) -> list[ScoredSample]:
    """Ask a started backend each prompt for `n` answers, and score them.

    A row that the backend takes for a mistake (too long, a schema it cannot hold to) gives no sample.

    :param concurrency: how many rows are asked at once.
    :raises BackendError: when the backend fails.
    """
    line = iter(enumerate(rows))
    found: list[list[ScoredSample]] = [[] for _ in rows]

    async def work() -> None:
        for place, row in line:
            request = _request(row, n, temperature, max_tokens, seed)
            try:
                deltas = [delta async for delta in backend.stream(request)]
            except RequestError:
                continue
            texts = [answer_text(deltas, index) for index in range(n)]
            found[place] = [ScoredSample(row, text, score(row, text)) for text in texts]

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(rows))):
            workers.create_task(work())
    return [sample for samples in found for sample in samples]


def answer_text(deltas: Iterable[Delta], index: int = 0) -> str:
    """One choice of an answer as the model wrote it, its calls in the form of `pinnace.models.tool_turns`."""
    text = ""
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.index == index:
            text += delta.text
            for piece in delta.tool_calls:
                name, arguments = piece["function"].get("name", ""), piece["function"].get("arguments", "")
                call = calls.setdefault(piece["index"], ["", ""])
                call[0] += name
                call[1] += arguments
    written = [f"{OPENING}{name}{AFTER_NAME}{arguments}{CLOSING}" for name, arguments in calls.values()]
    return BETWEEN_CALLS.join([text, *written] if text else written)


def _request(row: TrainingRow, n: int, temperature: float, max_tokens: int, seed: int) -> Request:
    turns = (Message("user", row.prompt),)
    return Request(
        messages=turns if row.system is None else (Message("system", row.system), *turns),
        n=n,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        tools=row.tools,
        tool_choice=row.tool_choice,
        parallel_tool_calls=False,
        is_read_whole=True,
        priority=1,
    )
