"""What a large model is known to have scored on our prompts: published outcomes matched to examples.

RouteLLM ran GPT-4 on GSM8K, MMLU and MT-Bench, RouterBench on ARC-Challenge. Their prompts are worded
otherwise and shuffle the options, so rows are matched by the words of the question and its set of
options. What this does not know is how the model would have scored on our wording; and a recorded cost
is that of the recorded prompt, which in RouterBench carries five solved examples.
"""

import re
from collections.abc import Hashable, Sequence

import numpy as np

from pinnace.eval.example import Example
from pinnace.eval.scoring import words
from pinnace.eval.table import FloatArray, OutcomeTable

_SOLVED_EXAMPLE = re.compile(r"\nAnswer:\s*[A-E]\s*\n\n")
_AFTER_OPTIONS = re.compile(r"\n(?:Print only a single choice|Answer:).*", re.DOTALL)
_OPTION = re.compile(r"\n[A-E][.)] ")


def recorded_outcomes(
    tables: Sequence[OutcomeTable], examples: Sequence[Example], models: Sequence[str]
) -> OutcomeTable:
    """The outcomes of `models` in `tables`, as rows of those `examples` whose question they hold.

    Rows have the example's id and prompt, so they join with a live run of it. Where two rows ask the
    same question, the first that was run counts. Examples that nothing is recorded for are left out.
    """
    known = _known(tables, models)
    found = [(e, known[key]) for e in examples if (key := question_key(e.question, e.choices)) in known]
    outcomes = np.array([outcome for _, outcome in found]).reshape(len(found), 2, len(models))
    return OutcomeTable(
        ids=tuple(example.id for example, _ in found),
        tasks=tuple(example.task for example, _ in found),
        prompts=tuple(example.prompt for example, _ in found),
        models=tuple(models),
        scores=outcomes[:, 0, :],
        costs=outcomes[:, 1, :],
        splits=tuple(example.split for example, _ in found),
    )


def question_key(question: str, choices: Sequence[str]) -> Hashable:
    """What makes two wordings the same question: its words, and its options in any order."""
    return words(question), frozenset(words(choice) for choice in choices)


def question_of(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The question and the options in a recorded prompt: the last, where solved examples come first."""
    asked = _AFTER_OPTIONS.sub("", _SOLVED_EXAMPLE.split(prompt)[-1])
    question, *choices = _OPTION.split(asked)
    return question, tuple(choices)


def _known(tables: Sequence[OutcomeTable], models: Sequence[str]) -> dict[Hashable, FloatArray]:
    """By question, the scores and costs of `models` (2, m)."""
    known: dict[Hashable, FloatArray] = {}
    for table in tables:
        columns = [(j, table.models.index(model)) for j, model in enumerate(models) if model in table.models]
        for row, prompt in enumerate(table.prompts):
            outcome = known.setdefault(question_key(*question_of(prompt)), np.full((2, len(models)), np.nan))
            for j, column in columns:
                if np.isnan(outcome[0, j]):
                    outcome[:, j] = table.scores[row, column], table.costs[row, column]
    return {key: outcome for key, outcome in known.items() if not np.isnan(outcome[0]).all()}
