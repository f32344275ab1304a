"""What is in an outcome table, before anyone routes by it.

Pure. Knows nothing of routers, files or printing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pinnace.eval.leaks import Leaks, Repeats, duplicates_of, leaks_of
from pinnace.eval.table import FloatArray, OutcomeTable

BoolArray = npt.NDArray[np.bool_]
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One model: the rows it was run on, and its mean score (0 to 1) and cost (USD) there."""

    model: str
    rows: int
    mean_score: float | None
    mean_cost: float | None


@dataclass(frozen=True, slots=True)
class BestSingle:
    """The model that scores highest when it answers everything; over the compared rows."""

    model: str
    mean_score: float


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The model that costs least, by mean cost (USD); `mean_score` is over the compared rows.

    `by` is `cost` over the `cost_rows` on which the cost of every model with any cost is known; `own_cost`,
    each model over its own rows, where there are none such; `order`, the first model of the table, where
    no cost is known at all.
    """

    model: str
    mean_score: float | None
    mean_cost: float | None
    by: Literal["cost", "own_cost", "order"]
    cost_rows: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models and the correlation of their scores."""

    models: tuple[str, str]
    correlation: float


@dataclass(frozen=True, slots=True)
class Correlations:
    """Pearson's, of the scores of each two models on the rows that both ran.

    `matrix` is m by m in the order of the models; None where a model's score never changes or fewer than
    two rows are shared. `mean`, `most` and `least` are of pairs of different models.
    """

    matrix: tuple[tuple[float | None, ...], ...]
    mean: float | None
    most: Pair | None
    least: Pair | None


@dataclass(frozen=True, slots=True)
class TableSummary:
    """A table in figures; `dataclasses.asdict` gives the keys of `pinnace eval tables --json`.

    :param rows: prompts.
    :param unscored_rows: those on which no model has a score.
    :param compared_rows: those on which every model has one, or, where there is none such, at least one
        model; `oracle`, `best_single`, `cheapest.mean_score` and `distinct_winner_share` are over these.
    :param tasks: rows by task; `splits` likewise, None where the table has no splits.
    :param models: each over its own rows.
    :param oracle: the mean of the best score of each row: what a router can reach at most.
    :param distinct_winner_share: the share of rows (0 to 1) on which one model scores higher than all the
        others; with right and wrong alone, those that exactly one model gets right.
    :param leaks: test prompts that are in train too; None where the table does not have both splits.
    :param duplicates: prompts that an earlier row has.
    """

    rows: int
    unscored_rows: int
    compared_rows: int
    tasks: Mapping[str, int]
    splits: Mapping[str, int] | None
    models: tuple[ModelFigures, ...]
    oracle: float | None
    best_single: BestSingle | None
    cheapest: Cheapest
    correlations: Correlations
    distinct_winner_share: float | None
    leaks: Leaks | None
    duplicates: Repeats


def summarise_table(table: OutcomeTable) -> TableSummary:
    """The figures of one table, of n rows and m models."""
    ran = ~np.isnan(table.scores)
    scored = ran.any(axis=1)
    common = ran.all(axis=1)
    compared = table.scores[common if common.any() else scored]
    means = [_mean(compared[:, column]) for column in range(len(table.models))]
    return TableSummary(
        rows=len(table),
        unscored_rows=int((~scored).sum()),
        compared_rows=len(compared),
        tasks=_counted(table.tasks),
        splits=None if table.splits is None else _counted(table.splits),
        models=tuple(_figures(table, column) for column in range(len(table.models))),
        oracle=float(np.nanmax(compared, axis=1).mean()) if len(compared) else None,
        best_single=_best_single(table.models, means),
        cheapest=_cheapest(table, means),
        correlations=_correlations(table.models, table.scores),
        distinct_winner_share=_distinct_winner_share(compared),
        leaks=leaks_of(table),
        duplicates=duplicates_of(table),
    )


def correlation_matrix(scores: FloatArray) -> FloatArray:
    """Pearson's correlation of each two columns of `scores` (n, m) over the rows where both are known.

    Shape (m, m); NaN where fewer than two rows are shared or one of the two does not change on them.
    """
    known: FloatArray = (~np.isnan(scores)).astype(np.float64)
    values = np.where(known > 0, scores, 0.0)
    shared = np.maximum(known.T @ known, 1.0)
    means = (values.T @ known) / shared
    covariances = (values.T @ values) / shared - means * means.T
    variances = ((values**2).T @ known) / shared - means**2
    scale = np.sqrt(np.maximum(variances, 0.0) * np.maximum(variances.T, 0.0))
    is_defined = (np.minimum(variances, variances.T) > _FLAT) & (shared >= 2)
    ratio = covariances / np.where(is_defined, scale, 1.0)
    return np.where(is_defined, np.clip(ratio, -1.0, 1.0), np.nan)


def _counted(names: tuple[str, ...]) -> dict[str, int]:
    """How often each name comes, the most frequent first."""
    return dict(Counter(names).most_common())


def _figures(table: OutcomeTable, column: int) -> ModelFigures:
    scores = table.scores[:, column]
    rows = int((~np.isnan(scores)).sum())
    return ModelFigures(table.models[column], rows, _mean(scores), _mean(table.costs[:, column]))


def _best_single(models: tuple[str, ...], means: list[float | None]) -> BestSingle | None:
    known = [(mean, -column) for column, mean in enumerate(means) if mean is not None]
    if not known:
        return None
    mean, place = max(known)
    return BestSingle(models[-place], mean)


def _cheapest(table: OutcomeTable, means: list[float | None]) -> Cheapest:
    known = ~np.isnan(table.costs)
    priced = np.flatnonzero(known.any(axis=0))
    rows: BoolArray = np.asarray(known[:, priced].all(axis=1), dtype=np.bool_)
    if not len(priced):
        return Cheapest(table.models[0], means[0], None, "order", 0)
    over: BoolArray = rows if rows.any() else np.ones_like(rows)
    costs: FloatArray = np.nanmean(table.costs[np.ix_(over, priced)], axis=0)
    column = int(priced[int(np.argmin(costs))])
    by = "cost" if rows.any() else "own_cost"
    return Cheapest(table.models[column], means[column], float(costs.min()), by, int(rows.sum()))


def _correlations(models: tuple[str, ...], scores: FloatArray) -> Correlations:
    matrix = correlation_matrix(scores)
    pairs = [
        Pair((models[i], models[j]), float(matrix[i, j]))
        for i in range(len(models))
        for j in range(i + 1, len(models))
        if not np.isnan(matrix[i, j])
    ]
    return Correlations(
        matrix=tuple(tuple(None if v != v else v for v in line) for line in matrix.tolist()),
        mean=sum(pair.correlation for pair in pairs) / len(pairs) if pairs else None,
        most=max(pairs, key=lambda pair: pair.correlation, default=None),
        least=min(pairs, key=lambda pair: pair.correlation, default=None),
    )


def _distinct_winner_share(scores: FloatArray) -> float | None:
    if not len(scores) or scores.shape[1] < 2:
        return None
    best = np.nanmax(scores, axis=1, keepdims=True)
    return float(((scores == best).sum(axis=1) == 1).mean())


def _mean(values: FloatArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
