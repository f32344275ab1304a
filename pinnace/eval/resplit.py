"""How often a quality floor is missed, and what it saves, over random re-splits of one outcome table.

Each split fits an estimator and calibrates a floor on one part of the rows and counts on the rest, of
which nothing was known: the floor is missed where the chosen models' scores sum to less than `keep` times
the large model's. Knows nothing of files, embedders, or which estimator it is given.

What was calibrated must be what serves. `folds`: one estimator per fold; a row is judged by the one that
has not seen it, a request by one of them at random. `held_out`: fitted on half of the rows, calibrated on
the other. `refit`: judged as with `folds`, then served by a new fit on all rows, which is another
estimator than the calibrated ones: it is here to be measured, and misses where many rows are much alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from scipy.special import betaincinv  # pyright: ignore

from pinnace.router.floor import Floor, quality_floor
from pinnace.router.rate_table import RateTable, calibrate, choose
from pinnace.router.types import FloatArray, IntArray

Serving = Literal["folds", "held_out", "refit"]
LEAST_COST = 0.05
"""An estimated cost is at least this share of the model's mean."""


class FittedOnRows(Protocol):
    """An estimator: features (n, d) and targets (n, m) in, predictions (n, m) out."""

    def fit(self, features: FloatArray, scores: FloatArray) -> Any: ...

    def predict(self, features: FloatArray) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class Outcomes:
    """n rows of m models: `features` (n, d), `scores` (n, m) in 0..1, `costs` (n, m) in USD, all finite;
    `large` is the large model's column.
    """

    features: FloatArray
    scores: FloatArray
    costs: FloatArray
    large: int

    def take(self, rows: IntArray) -> "Outcomes":
        """Some of the rows."""
        return Outcomes(self.features[rows], self.scores[rows], self.costs[rows], self.large)


@dataclass(frozen=True, slots=True)
class FloorFigures:
    """One floor over all splits. `missed` is a share of splits with its exact 95 % binomial interval;
    `saved` the mean share of always-large's cost on the test rows, with the range that holds 90 % of the
    splits; `kept` the mean share of the large model's quality; `refused` the share of splits refused.
    """

    keep: float
    splits: int
    missed: float
    missed_low: float
    missed_high: float
    saved: float
    saved_low: float
    saved_high: float
    kept: float
    refused: float


@dataclass(frozen=True, slots=True)
class _Estimated:
    """Estimates of rows, (n, m) each, and the rows themselves."""

    quality: FloatArray
    usd: FloatArray
    rows: Outcomes


def resplit_floors(
    outcomes: Outcomes,
    make: Callable[[], FittedOnRows],
    *,
    keeps: Sequence[float] = (0.95, 0.97, 0.99),
    splits: int = 200,
    confidence: float = 0.95,
    serving: Serving = "folds",
    folds: int = 5,
    seed: int = 0,
) -> tuple[FloorFigures, ...]:
    """Figures of every floor over `splits` random halves, the promise being made for the test half.

    :param make: makes an estimator that is not yet fitted; it is fitted to scores and to relative costs.
    :raises ValueError: when there are fewer than two rows for every fold.
    """
    if len(outcomes.scores) < 4 * folds:
        raise ValueError(f"expected at least {4 * folds} rows, got {len(outcomes.scores)!r}")
    rng = np.random.default_rng(seed)
    found: list[list[tuple[float, ...]]] = [[] for _ in keeps]
    for _ in range(splits):
        order = rng.permutation(len(outcomes.scores))
        known, unknown = (outcomes.take(part) for part in np.array_split(order, 2))
        judged, served = _estimated(known, unknown, make, serving, folds, rng)
        table = calibrate(judged.quality, judged.usd, judged.rows.scores, judged.rows.costs, outcomes.large)
        for keep, figures in zip(keeps, found, strict=True):
            figures.append(_count(table, served, keep, confidence))
    return tuple(_summary(keep, np.asarray(rows)) for keep, rows in zip(keeps, found, strict=True))


def binomial_interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high


def _count(table: RateTable, served: _Estimated, keep: float, confidence: float) -> tuple[float, ...]:
    """Missed, saved, kept, refused: of one floor on the test rows of one split."""
    rows, large = served.rows, served.rows.large
    every = np.arange(len(rows.scores))
    floor = quality_floor(table, keep, confidence, horizon=len(every))
    chosen = choose(served.quality, served.usd, large, floor.rule)
    kept, reference = float(rows.scores[every, chosen].sum()), float(rows.scores[:, large].sum())
    spent, dearest = float(rows.costs[every, chosen].sum()), float(rows.costs[:, large].sum())
    return (
        float(kept < keep * reference - 1e-9),
        1 - spent / dearest if dearest > 0 else 0.0,
        kept / reference if reference > 0 else 1.0,
        float(not isinstance(floor, Floor)),
    )


def _estimated(
    known: Outcomes,
    unknown: Outcomes,
    make: Callable[[], FittedOnRows],
    serving: Serving,
    folds: int,
    rng: np.random.Generator,
) -> tuple[_Estimated, _Estimated]:
    """The calibration rows as they are judged, and the test rows as they are served."""
    n = len(known.scores)
    if serving == "held_out":
        fit, rest = (known.take(part) for part in np.array_split(np.arange(n), 2))
        estimate = _fitted(fit, make)
        return estimate(rest), estimate(unknown)
    members = rng.permutation(np.arange(n) % folds)
    estimators = [_fitted(known.take(np.flatnonzero(members != fold)), make) for fold in range(folds)]
    judged = _by_member(known, members, estimators)
    if serving == "refit":
        return judged, _fitted(known, make)(unknown)
    return judged, _by_member(unknown, rng.integers(0, folds, len(unknown.scores)), estimators)


def _by_member(
    rows: Outcomes, members: IntArray, estimators: Sequence[Callable[[Outcomes], _Estimated]]
) -> _Estimated:
    quality, usd = np.empty_like(rows.scores), np.empty_like(rows.costs)
    for member, estimate in enumerate(estimators):
        own = np.flatnonzero(members == member)
        if len(own):
            found = estimate(rows.take(own))
            quality[own], usd[own] = found.quality, found.usd
    return _Estimated(quality, usd, rows)


def _fitted(rows: Outcomes, make: Callable[[], FittedOnRows]) -> Callable[[Outcomes], _Estimated]:
    """An estimator of qualities and costs, fitted on these rows."""
    unit = np.maximum(rows.costs.mean(axis=0), np.finfo(np.float64).tiny)
    quality, cost = make(), make()
    quality.fit(rows.features, rows.scores)
    cost.fit(rows.features, rows.costs / unit)

    def estimate(others: Outcomes) -> _Estimated:
        usd = np.maximum(cost.predict(others.features), LEAST_COST) * unit
        return _Estimated(quality.predict(others.features), usd, others)

    return estimate


def _summary(keep: float, rows: FloatArray) -> FloorFigures:
    splits = len(rows)
    missed, saved = rows[:, 0], rows[:, 1]
    low, high = binomial_interval(int(missed.sum()), splits)
    return FloorFigures(
        keep=keep,
        splits=splits,
        missed=float(missed.mean()),
        missed_low=low,
        missed_high=high,
        saved=float(saved.mean()),
        saved_low=float(np.quantile(saved, 0.05)),
        saved_high=float(np.quantile(saved, 0.95)),
        kept=float(rows[:, 2].mean()),
        refused=float(rows[:, 3].mean()),
    )
