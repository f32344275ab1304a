"""`quality_floor`: the cheapest rule that keeps a share of the large model's quality, with confidence.

Learn then test (Angelopoulos et al. 2021, arXiv:2110.01052): rules are tested in the fixed order of a
`RateTable`, from the safest to the cheapest, until one cannot be certified; the last before it serves.

A rule is certified when a lower prediction bound of its mean excess (quality minus `keep` times the large
model's) over the next `horizon` requests is not negative. The bound is Student's, and its variance is that
of the calibration rows plus that of the requests to come: sigma^2 (1/n + 1/h). Rare losses are what it
could overlook, so `LOST_ROWS` made-up rows are counted in which the large model was right and the chosen
one wrong. One rule after another stays valid although the requests vary too: let u be a chance to fail the
requests, and l the first rule whose chance is at least u. What is served fails with at least u only if l
was certified; integrated over u, that is the error of a single test.

Knows rules by their figures alone: neither what the models are, nor how the estimates came about. The
promise holds for the estimates that the table was calibrated with, and for requests like its rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # pyright: ignore

from pinnace.router.rate_table import RateTable, Rule
from pinnace.router.types import FloatArray

LOST_ROWS = 2
"""Made-up lost rows. Simulated on 200 to 6,000 rows, without them up to 25 % of floors are missed, with
one row 6 %, with two 4 %."""
ALWAYS_LARGE = Rule(0.0, math.inf)
_SO = "so the large model always answers"


@dataclass(frozen=True, slots=True)
class Floor:
    """A certified rule. `bound` is the lower bound of its excess; `saved` the share of always-large's cost
    that it saved on the calibration rows, and `kept` the share of the large model's quality that it kept.
    """

    rule: Rule
    step: int
    bound: float
    saved: float
    kept: float
    why: str


@dataclass(frozen=True, slots=True)
class FloorRefused:
    """No rule that saves anything can be certified, so the `rule` is always the large model.

    `rows_needed` is how many calibration rows would certify the first step away from it, if the rest
    stayed as it is; None when no number would.
    """

    why: str
    rows: int
    rows_needed: int | None
    rule: Rule = ALWAYS_LARGE


def quality_floor(
    table: RateTable, keep: float, confidence: float = 0.95, horizon: float | None = None
) -> Floor | FloorRefused:
    """The cheapest certified rule.

    :param keep: share of the large model's quality that must be kept, above 0, at most 1.
    :param confidence: how sure that must be, in 0.5..1.
    :param horizon: requests over which it is promised; by default as many as there are calibration rows,
        `math.inf` for the long run alone (which single days then miss about twice as often).
    :raises ValueError: when one of them is out of its range.
    """
    _check(keep, confidence, horizon)
    bounds = excess_bounds(table, keep, confidence, horizon)
    failed = np.flatnonzero(bounds[1:] < 0) + 1
    certified = int(failed[0]) if len(failed) else len(table)
    step = int(np.argmin(table.usd[:certified]))
    if step == 0:
        return _refused(table, certified, keep, confidence, horizon)
    saved, kept = 1 - float(table.usd[step] / table.usd[0]), _kept(table, step)
    why = (
        f"on {table.rows} calibration rows {kept:.1%} of the large model's quality was kept "
        f"and {saved:.1%} of its cost saved"
    )
    return Floor(table.rule(step), step, float(bounds[step]), saved, kept, why)


def excess_bounds(
    table: RateTable, keep: float, confidence: float = 0.95, horizon: float | None = None
) -> FloatArray:
    """Lower prediction bounds of the mean excess of each rule over the next `horizon` requests, (r,)."""
    mean, variance = table.excess(keep)
    return _bounds(mean, variance, keep, confidence, table.rows, horizon)


def rows_needed(
    keep: float,
    mean: float,
    variance: float,
    confidence: float = 0.95,
    horizon: float | None = None,
) -> int | None:
    """Calibration rows that certify a rule of this mean excess and variance; None when no number does.

    For a rule that changes nothing, which needs the fewest, the mean is (1 - keep) times the large model's
    quality, and the variance (1 - keep)^2 times that of its scores.

    :param horizon: see `quality_floor`; by default it grows with the rows.
    """
    _check(keep, confidence, horizon)
    most = 1 << 40

    def suffices(rows: int) -> bool:
        moments = np.asarray([mean]), np.asarray([variance])
        return float(_bounds(*moments, keep, confidence, rows, horizon)[0]) >= 0

    if not suffices(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _bounds(
    mean: FloatArray, variance: FloatArray, keep: float, confidence: float, rows: int, horizon: float | None
) -> FloatArray:
    """Student's lower prediction bound, of the rows and `LOST_ROWS` rows of an excess of -keep."""
    counted = rows + LOST_ROWS
    centre = (rows * mean - LOST_ROWS * keep) / counted
    squares = (rows - 1) * variance + rows * mean**2 + LOST_ROWS * keep**2
    spread = np.maximum(squares - counted * centre**2, 0.0) / (counted - 1)
    quantile = float(stdtrit(counted - 1, confidence))
    future = 0.0 if horizon == math.inf else 1 / (horizon or rows)
    return centre - quantile * np.sqrt(spread * (1 / counted + future))


def _kept(table: RateTable, step: int) -> float:
    return float(table.quality[step] / table.quality[0]) if table.quality[0] > 0 else 1.0


def _refused(
    table: RateTable, certified: int, keep: float, confidence: float, horizon: float | None
) -> FloorRefused:
    """Why, and how many rows the first rule that is not always the large model would need."""
    if certified > 1 or len(table) == 1:
        return FloorRefused(f"no certified rule costs less than the large model, {_SO}", table.rows, None)
    mean, variance = (float(figure[1]) for figure in table.excess(keep))
    needed = rows_needed(keep, mean, variance, confidence, horizon)
    if needed is None and mean <= 0:
        why = f"the first step away from the large model kept only {_kept(table, 1):.2%} of its quality"
    elif needed is None:
        why = f"no number of calibration rows can promise {keep:.1%} over {horizon} requests"
    else:
        why = f"{table.rows} calibration rows are too few to promise {keep:.1%}: at least {needed} are needed"
    return FloorRefused(f"{why}, {_SO}", table.rows, needed)


def _check(keep: float, confidence: float, horizon: float | None) -> None:
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected more than 0 and at most 1, got {keep!r}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: expected at least 0.5 and less than 1, got {confidence!r}")
    if horizon is not None and not horizon >= 1:
        raise ValueError(f"horizon: expected at least 1 request, got {horizon!r}")
