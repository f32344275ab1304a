"""How often a quality floor is missed, and what it saves, over random re-splits of one outcome table.

Each split calibrates a floor on one half of the rows and counts on the other, of which nothing was known:
the floor is missed where the chosen models' scores sum to less than `keep` times the large model's. Rows
of one prompt are never in both halves. Knows nothing of files or embedders, nor of how rows are judged.

Given the table, splits are independent, so the interval of a share of missed ones is binomial. It is of
the chance on this table: the promise is about tables like it, some of which are a little above the mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv  # pyright: ignore
from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.router.estimators.learner import Rows
from pinnace.router.floor import Floor, quality_floor
from pinnace.router.rate_table import RateTable, calibrate, choose
from pinnace.router.types import FloatArray, IntArray

KEEPS = (0.95, 0.97, 0.99)
SPLITS = 200
LEAST_ROWS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """n `rows` of m models, their `costs` (n, m) in USD, all known; `large` is the large model's column."""

    rows: Rows
    costs: FloatArray
    large: int

    def take(self, chosen: IntArray) -> "Outcomes":
        """Some of the rows."""
        return Outcomes(self.rows.take(chosen), self.costs[chosen], self.large)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What is expected of rows: `quality` (n, m) in 0..1 and `usd` (n, m)."""

    quality: FloatArray
    usd: FloatArray


Judge = Callable[[Outcomes, Outcomes, int], tuple[Judged, Judged]]
"""From known rows, unknown ones and a seed: the known as they calibrate, the unknown as they are served."""


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

    def holds(self, confidence: float) -> bool:
        """Whether no more splits missed than are promised, within their binomial error."""
        return self.missed_low <= 1 - confidence


def resplit_floors(
    outcomes: Outcomes,
    judge: Judge,
    *,
    keeps: Sequence[float] = KEEPS,
    splits: int = SPLITS,
    confidence: float = 0.95,
    rows: int | None = None,
    seed: int = 0,
    on_done: Callable[[], None] = lambda: None,
) -> tuple[FloorFigures, ...]:
    """Figures of every floor over `splits` random halves, the promise being made for the test half.

    :param rows: calibrate on at most so many rows; on a half by default.
    :param on_done: called after each split.
    :raises ValueError: when there are fewer than 20 rows.
    """
    if len(outcomes.costs) < LEAST_ROWS or (rows is not None and rows < LEAST_ROWS // 2):
        least = f"expected at least {LEAST_ROWS} rows and {LEAST_ROWS // 2} to calibrate on"
        raise ValueError(f"{least}, got {len(outcomes.costs)!r} and {rows!r}")
    rng = np.random.default_rng(seed)
    found: list[list[tuple[float, ...]]] = [[] for _ in keeps]
    with threadpool_limits(1):
        for _ in range(splits):
            first, second = halves(outcomes.rows.groups, rng, rows)
            known, unknown = outcomes.take(first), outcomes.take(second)
            judged, served = judge(known, unknown, _drawn(rng))
            table = calibrate(judged.quality, judged.usd, known.rows.scores, known.costs, outcomes.large)
            for keep, figures in zip(keeps, found, strict=True):
                figures.append(_count(table, unknown, served, keep, confidence))
            on_done()
    return tuple(_summary(keep, np.asarray(figures)) for keep, figures in zip(keeps, found, strict=True))


def halves(groups: IntArray, rng: np.random.Generator, most: int | None = None) -> tuple[IntArray, IntArray]:
    """Two random halves of the rows with these groups, no group in both; `most` rows of the first."""
    names, which = np.unique(groups, return_inverse=True)
    first = np.argsort(rng.permutation(len(names)))[which] < len(names) / 2
    known = np.flatnonzero(first)
    if most is not None and most < len(known):
        known = np.sort(rng.permutation(known)[:most])
    return known, np.flatnonzero(~first)


def binomial_interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high


def _count(
    table: RateTable, unknown: Outcomes, served: Judged, keep: float, confidence: float
) -> tuple[float, ...]:
    """Missed, saved, kept, refused: of one floor on the test rows of one split."""
    scores, costs, large = unknown.rows.scores, unknown.costs, unknown.large
    every = np.arange(len(scores))
    floor = quality_floor(table, keep, confidence, horizon=len(every))
    chosen = choose(served.quality, served.usd, large, floor.rule)
    kept, reference = float(scores[every, chosen].sum()), float(scores[:, large].sum())
    spent, dearest = float(costs[every, chosen].sum()), float(costs[:, large].sum())
    return (
        float(kept < keep * reference - 1e-9),
        1 - spent / dearest if dearest > 0 else 0.0,
        kept / reference if reference > 0 else 1.0,
        float(not isinstance(floor, Floor)),
    )


def _drawn(rng: np.random.Generator) -> int:
    """A seed."""
    (seed,) = rng.integers(2**31, size=1).tolist()
    return seed


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
