"""RouterDC's protocol (arXiv 2409.19886): five tasks, its own train and test rows, the mean over tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.methods import METHODS, NEEDS_LARGE, Settings
from pinnace.eval.pool import Pool
from pinnace.eval.protocol_run import ProtocolRun, valued
from pinnace.eval.recorded_rows import Embed, Split, recorded_rows, split_at
from pinnace.eval.table import FloatArray, OutcomeTable

TASKS = ("mmlu", "gsm8k", "cmmlu", "arc_challenge", "humaneval")
PERCENT = 100.0
PRICED = ("content_blind", "cheapest")


def run_routerdc(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> ProtocolRun:
    """Accuracy per task, and its mean over tasks, of the methods that need no price and no large model.

    :raises TableError: when the table lacks test rows of a task.
    """
    tested = {task for task, split in zip(table.tasks, table.splits or (), strict=False) if split == "test"}
    missing = sorted(set(TASKS) - tested)
    if missing:
        raise TableError(
            f"expected RouterDC's table with rows of split 'test' of {', '.join(TASKS)}, "
            f"lacks those of {', '.join(missing)}"
        )
    recorded = recorded_rows(table, Pool(table.models), embed, TASKS, keep_repeats=True)
    splits, tasks = np.array(recorded.splits), np.array(recorded.tasks)
    train, test = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "test")
    found: dict[str, dict[str, Any]] = {}
    for name in METHODS:
        if name not in NEEDS_LARGE and name not in PRICED:
            method = METHODS[name].settle
            runs = [_small_scores(method, split_at(recorded, train, test, seed)) for seed in range(seeds)]
            found[name] = _by_task(np.mean(runs, axis=0), tasks[test], draws)
    return ProtocolRun(found)


def _small_scores(settle: Callable[[Split], Settings], split: Split) -> FloatArray:
    """The score of each test row's choice among the small models, (n,)."""
    return split.test.scores[np.arange(len(split.test.rows)), settle(split).small]


def _by_task(correct: FloatArray, tasks: Any, draws: int) -> dict[str, Any]:
    """Accuracy per task, and the means over tasks with and without HumanEval, each with its interval."""
    drawn: dict[str, FloatArray] = {}
    for position, task in enumerate(TASKS):
        here = correct[tasks == task]
        weights = np.vstack([np.ones(len(here)), draw_weights(len(here), draws, seed=position)])
        drawn[task] = PERCENT * (weights @ here) / weights.sum(axis=1)
    drawn["average"] = np.mean([drawn[task] for task in TASKS], axis=0)
    drawn["average_without_humaneval"] = np.mean([drawn[task] for task in TASKS[:4]], axis=0)
    return {name: valued(values) for name, values in drawn.items()}
