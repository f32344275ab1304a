"""The published protocols: their rows, their splits and their figures, for every method that fits them.

All choices are made on the rows that a protocol trains on. Published numbers stand beside ours as they were
published; ours are in-domain supervised where the protocol's own routers were trained on other data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.errors import TableError
from pinnace.eval.bootstrap import Weights, draw_weights, interval
from pinnace.eval.methods import METHODS, NEEDS_LARGE, Settings
from pinnace.eval.pair_metrics import apgr_draws, cpt_draws
from pinnace.eval.pool import Pool, whole_pool
from pinnace.eval.recorded_rows import Recorded, Split, record, split_at, usable_rows
from pinnace.eval.replay import replay
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.estimators.learner import folds_of, numbered

Embed = Callable[[Sequence[str]], FloatArray]
ROUTERDC_TASKS = ("mmlu", "gsm8k", "cmmlu", "arc_challenge", "humaneval")
PERCENT = 100.0
MIN_ROWS = 500
"""Rows below which a data set is too small for five folds: MT-Bench."""
WITH_NEED = ("pinnace", "knn40", "knn100", "avengers_pro", "routellm", "random")


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol in words, its published figures, and what runs it."""

    note: str
    published: Mapping[str, str]
    run: Callable[[OutcomeTable, Embed, int, int], dict[str, dict[str, Any]]]


def run_protocol(
    name: str, table: OutcomeTable, source: str, embed: Embed, *, seeds: int, draws: int
) -> dict[str, Any]:
    """Run a protocol of `PROTOCOLS` on its table.

    Keys: `table`, `protocol`, `note`, `published`, `seeds`, `draws`, and `methods`: per method each figure
    with `value`, `low` and `high`.

    :raises TableError: when the table is not the protocol's.
    """
    protocol = PROTOCOLS[name]
    with threadpool_limits(1):
        methods = protocol.run(table, embed, seeds, draws)
    return {
        "table": source,
        "protocol": name,
        "note": protocol.note,
        "seeds": seeds,
        "draws": draws,
        "published": dict(protocol.published),
        "methods": methods,
    }


def _routerdc(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> dict[str, dict[str, Any]]:
    tested = {task for task, split in zip(table.tasks, table.splits or (), strict=False) if split == "test"}
    missing = sorted(set(ROUTERDC_TASKS) - tested)
    if missing:
        raise TableError(
            f"expected RouterDC's table with rows of split 'test' of {', '.join(ROUTERDC_TASKS)}, "
            f"lacks those of {', '.join(missing)}"
        )
    recorded = _recorded(table, Pool(table.models), embed, ROUTERDC_TASKS, keep_repeats=True)
    splits, tasks = np.array(recorded.splits), np.array(recorded.tasks)
    train, test = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "test")
    found: dict[str, dict[str, Any]] = {}
    for name in _unpriced():
        method = METHODS[name].settle
        runs = [_small_scores(method, split_at(recorded, train, test, seed)) for seed in range(seeds)]
        found[name] = _by_task(np.mean(runs, axis=0), tasks[test], draws)
    return found


def _by_task(correct: FloatArray, tasks: Any, draws: int) -> dict[str, Any]:
    """Accuracy per task, and the means over tasks with and without HumanEval, each with its interval."""
    drawn: dict[str, FloatArray] = {}
    for position, task in enumerate(ROUTERDC_TASKS):
        here = correct[tasks == task]
        weights = np.vstack([np.ones(len(here)), draw_weights(len(here), draws, seed=position)])
        drawn[task] = PERCENT * (weights @ here) / weights.sum(axis=1)
    drawn["average"] = np.mean([drawn[task] for task in ROUTERDC_TASKS], axis=0)
    drawn["average_without_humaneval"] = np.mean([drawn[task] for task in ROUTERDC_TASKS[:4]], axis=0)
    return {name: _valued(values) for name, values in drawn.items()}


def _routellm(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> dict[str, dict[str, Any]]:
    if len(table.models) != 2:
        raise TableError(f"expected RouteLLM's pair of models, got {table.models!r}")
    pool = whole_pool(table)
    if pool.large is None:  # no costs, as RouteLLM publishes none: the better model is the strong one
        weak, strong = (table.models[int(column)] for column in np.argsort(np.nanmean(table.scores, axis=0)))
        pool = Pool((weak,), strong)
    clean = np.array([split != "contaminated" for split in table.splits or ("",) * len(table)])
    datasets = np.array([_dataset(name) for name in table.ids])
    found: dict[str, dict[str, Any]] = {}
    for dataset in np.unique(datasets).tolist():
        rows = np.flatnonzero((datasets == dataset) & clean)
        recorded = _recorded(table.take(rows.tolist()), pool, embed, (), keep_repeats=True)
        if len(recorded) < MIN_ROWS:
            continue
        for name in WITH_NEED:
            found.setdefault(name, {}).update(_in_folds(recorded, name, dataset, seeds, draws))
    if not found:
        raise TableError(
            f"expected a data set of at least {MIN_ROWS} rows that are not contaminated, "
            f"got {', '.join(np.unique(datasets).tolist())}"
        )
    return found


def _in_folds(recorded: Recorded, name: str, dataset: str, seeds: int, draws: int) -> dict[str, Any]:
    """APGR and CPT of five-fold cross-validated routing scores, the mean over seeds."""
    ones = np.ones((1, len(recorded)), dtype=np.float32)
    weights: Weights = np.vstack([ones, draw_weights(len(recorded), draws, seed=0)])
    drawn: dict[str, list[FloatArray]] = {}
    for seed in range(seeds):
        folds = folds_of(numbered(recorded.prompts), seed)
        need = np.empty(len(recorded))
        for fold in range(5):
            test = np.flatnonzero(folds == fold)
            settings = METHODS[name].settle(split_at(recorded, np.flatnonzero(folds != fold), test, seed))
            assert settings.need is not None, "a method with a large model says how much it is needed"
            need[test] = settings.need
        pair = recorded.scores[:, 0], recorded.scores[:, 1], need
        drawn.setdefault(f"{dataset}_apgr", []).append(apgr_draws(*pair, weights))
        for percent in (50, 80):
            drawn.setdefault(f"{dataset}_cpt{percent}", []).append(cpt_draws(*pair, weights, percent))
    return {figure: _valued(np.mean(values, axis=0)) for figure, values in drawn.items()}


def _routerbench(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> dict[str, dict[str, Any]]:
    recorded = _recorded(table, whole_pool(table), embed, ())
    done = replay(recorded, seeds=seeds, draws=draws)
    names = {
        "aiq": "area",
        "aiq_by_largest": "aiq_by_largest",
        "accuracy": "accuracy",
        "usd_per_1k": "cost_usd_per_1k",
    }
    return _picked(done.methods, names)


def _llmrouterbench(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> dict[str, dict[str, Any]]:
    recorded = _recorded(table, Pool(table.models), embed, ())
    done = replay(recorded, seeds=seeds, draws=draws)
    names = {
        "average_accuracy": "accuracy",
        "gain_over_best_single": "gain_over_best_single",
        "gap_to_oracle": "gap_to_oracle",
        "usd_per_1k": "cost_usd_per_1k",
    }
    return _picked(done.methods, names)


def _picked(methods: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {
        name: {shown: _of(method.figures[figure].interval()) for shown, figure in names.items()}
        for name, method in methods.items()
    }


def _recorded(
    table: OutcomeTable, pool: Pool, embed: Embed, tasks: Sequence[str], *, keep_repeats: bool = False
) -> Recorded:
    rows, dropped = usable_rows(table, pool, tasks, keep_repeats=keep_repeats)
    return record(table, pool, rows, dropped, embed([table.prompts[int(row)] for row in rows]))


def _unpriced() -> list[str]:
    """Methods that need neither a price nor a large model."""
    return [name for name in METHODS if name not in NEEDS_LARGE and name not in ("content_blind", "cheapest")]


def _small_scores(settle: Callable[[Split], Settings], split: Split) -> FloatArray:
    """The score of each test row's choice among the small models, (n,)."""
    return split.test.scores[np.arange(len(split.test.rows)), settle(split).small]


def _dataset(name: str) -> str:
    """The data set in RouteLLM's ids, such as `mmlu` of `mmlu/anatomy/0`."""
    return name.split("/")[0].split("-")[0].replace("_", "")


def _valued(values: FloatArray) -> dict[str, float]:
    return _of(interval(float(values[0]), values[1:]))


def _of(found: Any) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


PROTOCOLS: Mapping[str, Protocol] = {
    "routerdc": Protocol(
        "mean test accuracy of five tasks, choices made on the train split alone",
        {"RouterDC, average": "58.54", "RouterDC, without HumanEval": "60.42", "best single": "54.56"},
        _routerdc,
    ),
    "routellm": Protocol(
        "five-fold in-domain supervised, where RouteLLM's routers were trained on preferences",
        {"RouteLLM, MMLU APGR": "0.603", "RouteLLM, GSM8K APGR": "0.622"},
        _routellm,
    ),
    "routerbench": Protocol("AIQ over 70/30 splits by a hash of the id, all models", {}, _routerbench),
    "llmrouterbench": Protocol(
        "accuracy over 70/30 splits by a hash of the id, all models, cost not counted",
        {"Avengers on LLMRouterBench's own 20 models": "71.94"},
        _llmrouterbench,
    ),
}
