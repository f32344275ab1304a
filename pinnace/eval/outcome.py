"""What became of one example that a model was asked, and how many of them make a table and a summary.

Pure. Knows nothing of backends.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from pinnace.eval.example import Example
from pinnace.eval.table import OutcomeTable
from pinnace.models.completion import FinishReason


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer: `score` is NaN where there is no rule or it failed, `cost` (USD) where usage is unknown.

    `model` is who was asked, and `asked` a hash of what. `evidence` is what the table's column holds
    (`pinnace.eval.reply.evidence_in`). `error` says why a request failed; a failed one has no evidence.
    """

    id: str
    score: float
    cost: float
    answer: str = ""
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    evidence: Mapping[str, Any] | None = None
    error: str | None = None
    model: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A live run of one model in figures.

    `resumed` rows were taken over from an earlier, interrupted run; tokens and seconds are of this run
    alone. `skipped` rows were not asked, as their suites have too few solved examples. `cut` answers reached
    their `max_tokens`. `failures` are (id, reason) of every failed request.
    """

    model: str
    asked: int
    resumed: int
    scored: int
    mean_score: float
    cut: int
    failures: tuple[tuple[str, str], ...]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    seconds: float
    skipped: int = 0

    @property
    def tokens_per_s(self) -> float:
        """Completion tokens per second over the whole run, all streams together."""
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def prompts_per_s(self) -> float:
        """Prompts answered per second."""
        return (self.asked - self.resumed) / self.seconds if self.seconds > 0 else 0.0


def failed(example: Example, error: Exception, model: str) -> Outcome:
    """The outcome of a request that the backend could not answer."""
    return Outcome(example.id, score=nan, cost=nan, error=f"{type(error).__name__}: {error}", model=model)


def table_of_outcomes(
    models: Sequence[str],
    examples: Sequence[Example],
    outcomes: Mapping[tuple[str, str], Outcome],
    *,
    keep_answers: bool,
) -> OutcomeTable:
    """The outcome table of `models`, in the order of `examples`.

    :param outcomes: by model and id; what is not there was not asked.
    """
    rows = [
        [outcomes.get((m, e.id)) or Outcome(e.id, nan, nan, error="not asked") for m in models]
        for e in examples
    ]
    shape = (len(examples), len(models))
    columns = {model: [row[j] for row in rows] for j, model in enumerate(models)}
    return OutcomeTable(
        ids=tuple(example.id for example in examples),
        tasks=tuple(example.task for example in examples),
        prompts=tuple(example.routed for example in examples),
        models=tuple(models),
        scores=np.array([[each.score for each in row] for row in rows], dtype=np.float64).reshape(shape),
        costs=np.array([[each.cost for each in row] for row in rows], dtype=np.float64).reshape(shape),
        splits=tuple(example.split for example in examples),
        evidence={model: tuple(each.evidence for each in column) for model, column in columns.items()},
        answers={
            model: tuple(None if each.error else each.answer for each in column)
            for model, column in columns.items()
        }
        if keep_answers
        else {},
    )


def summarise(
    model: str, outcomes: Sequence[Outcome], resumed: Container[str], seconds: float, *, skipped: int = 0
) -> Summary:
    """The figures of a run; `resumed` are the ids of those `outcomes` that an earlier run had."""
    here = [outcome for outcome in outcomes if outcome.id not in resumed]
    scores = [outcome.score for outcome in outcomes if outcome.score == outcome.score]
    return Summary(
        model=model,
        asked=len(outcomes),
        resumed=len(outcomes) - len(here),
        scored=len(scores),
        mean_score=sum(scores) / len(scores) if scores else nan,
        cut=sum(outcome.finish_reason == "length" for outcome in outcomes),
        failures=tuple((outcome.id, outcome.error) for outcome in outcomes if outcome.error is not None),
        prompt_tokens=sum(outcome.prompt_tokens for outcome in here),
        completion_tokens=sum(outcome.completion_tokens for outcome in here),
        cost_usd=sum(outcome.cost for outcome in here if outcome.cost == outcome.cost),
        seconds=seconds,
        skipped=skipped,
    )
