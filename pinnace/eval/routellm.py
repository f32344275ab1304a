"""RouteLLM's protocol (arXiv 2406.18665): a weak and a strong model, data set by data set, APGR and CPT.

Five-fold cross-validated, so that every row is tested; rows that RouteLLM knows as contaminated are left out.
Ours is here twice: with nearest neighbours among its learners, and as it serves, without.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.bootstrap import Weights, draw_weights
from pinnace.eval.methods import METHODS as REPLAYED
from pinnace.eval.methods import Method, committee
from pinnace.eval.pair_metrics import apgr_draws, cpt_draws
from pinnace.eval.pool import Pool, whole_pool
from pinnace.eval.protocol_run import ProtocolRun, valued
from pinnace.eval.recorded_rows import Embed, Recorded, recorded_rows, split_at
from pinnace.eval.share_curves import Pair
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.estimators.learner import folds_of, numbered

FOLDS = 5
MIN_ROWS = 500
"""Rows below which a data set is too small for five folds: MT-Bench."""
METHODS: Mapping[str, Method] = {
    **REPLAYED,
    "pinnace": Method("Pinnace, with neighbours", "ours", committee),
    "pinnace_served": Method("Pinnace, as it serves", "ours", REPLAYED["pinnace"].settle),
}
WITH_NEED = ("pinnace", "pinnace_served", "knn40", "knn100", "avengers_pro", "routellm", "random")


def run_routellm(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> ProtocolRun:
    """APGR and CPT of each data set that is large enough.

    :raises TableError: when the table has not two models, or no data set is large enough.
    """
    pool = _pool(table)
    clean = np.array([split != "contaminated" for split in table.splits or ("",) * len(table)])
    datasets = np.array([_dataset(name) for name in table.ids])
    found: dict[str, dict[str, Any]] = {name: {} for name in WITH_NEED}
    pairs: list[Pair] = []
    for dataset in np.unique(datasets).tolist():
        rows = np.flatnonzero((datasets == dataset) & clean)
        recorded = recorded_rows(table.take(rows.tolist()), pool, embed, keep_repeats=True)
        if len(recorded) < MIN_ROWS:
            continue
        pair = _in_folds(recorded, dataset, seeds)
        for name, needs in pair.needs.items():
            found[name].update(_figures(pair, needs, draws))
        pairs.append(pair)
    if not pairs:
        raise TableError(
            f"expected a data set of at least {MIN_ROWS} rows that are not contaminated, "
            f"got {', '.join(np.unique(datasets).tolist())}"
        )
    return ProtocolRun(found, tuple(pairs), shown={name: METHODS[name] for name in WITH_NEED})


def _pool(table: OutcomeTable) -> Pool:
    """The pair; without costs, as RouteLLM publishes none, the better model is the strong one."""
    if len(table.models) != 2:
        raise TableError(f"expected RouteLLM's pair of models, got {table.models!r}")
    pool = whole_pool(table)
    if pool.large is not None:
        return pool
    weak, strong = (table.models[int(column)] for column in np.argsort(np.nanmean(table.scores, axis=0)))
    return Pool((weak,), strong)


def _dataset(name: str) -> str:
    """The data set in RouteLLM's ids, such as `mmlu` of `mmlu/anatomy/0`."""
    return name.split("/")[0].split("-")[0].replace("_", "")


def _in_folds(recorded: Recorded, dataset: str, seeds: int) -> Pair:
    """How much each method needs the strong model for each row, told by a fit on the other folds."""
    needs = {name: np.empty((seeds, len(recorded))) for name in WITH_NEED}
    for seed in range(seeds):
        folds = folds_of(numbered(recorded.prompts), seed)
        for fold in range(FOLDS):
            test = np.flatnonzero(folds == fold)
            split = split_at(recorded, np.flatnonzero(folds != fold), test, seed)
            for name in WITH_NEED:
                need = METHODS[name].settle(split).need
                assert need is not None, "a method with a large model says how much it is needed"
                needs[name][seed, test] = need
    return Pair(dataset, recorded.scores[:, 0], recorded.scores[:, 1], needs)


def _figures(pair: Pair, needs: FloatArray, draws: int) -> dict[str, Any]:
    """APGR and CPT of one method, the mean over seeds."""
    ones = np.ones((1, len(pair.weak)), dtype=np.float32)
    weights: Weights = np.vstack([ones, draw_weights(len(pair.weak), draws, seed=0)])
    drawn = {"apgr": [apgr_draws(pair.weak, pair.strong, need, weights) for need in needs]}
    for percent in (50, 80):
        drawn[f"cpt{percent}"] = [cpt_draws(pair.weak, pair.strong, need, weights, percent) for need in needs]
    return {f"{pair.name}_{figure}": valued(np.mean(values, axis=0)) for figure, values in drawn.items()}
