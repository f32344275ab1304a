"""Typical requests: a sample of the calibration rows, forecast as the router forecasts requests.

Every row counts the same, so that clusters count by how many rows they had. What rows do not keep is taken
as it is on average: confidences and gains over all clusters, uncertainty over all rows. Knows no policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.models.card import ModelCard
from pinnace.router.estimators.quality import MEANING_PENALTY
from pinnace.router.forecast import UNKNOWN_SD, BoolArray, Forecast, centred
from pinnace.router.known import Known
from pinnace.router.state import QUANTILES, RouterState
from pinnace.router.types import FloatArray, IntArray

ROWS = 400
"""Rows that are taken at most."""
STRANGE, FAMILIAR = 0.1, 0.5
"""Shares of a state's rows that are strange, and that are not wholly familiar: see `fit.familiar_range`."""


@dataclass(frozen=True, slots=True, eq=False)
class Typical:
    """n requests over c cards: what is forecast of them, and the standard deviation of quality, (n, c)."""

    found: Forecast
    sds: FloatArray


def typical_requests(state: RouterState, known: Known, cards: Sequence[ModelCard], seed: int = 0) -> Typical:
    """At most `ROWS` typical requests, which every card can serve; none where there are no rows."""
    random, available = np.random.default_rng(seed), len(state.calibration.quality)
    rows: IntArray = random.permutation(available)[:ROWS].astype(np.int64)
    columns = [known.column(card) for card in cards]
    is_known: BoolArray = np.array([column is not None for column in columns])
    at = np.array([column or 0 for column in columns], dtype=np.int64)
    quality, usd = _figures(state, known, cards, rows, at)
    spreads = np.full((len(rows), len(cards), QUANTILES), np.nan)
    is_judged = is_known & np.array([state.gate.can_judge(card.estimates) for card in cards])
    spreads[:, is_judged] = state.confidences[:, at[is_judged]].mean(axis=0)
    nowhere = np.zeros((len(rows), 1), dtype=np.int64), np.ones((len(rows), 1)), np.zeros(len(rows))
    gains = state.gains.intervals(*nowhere, at)
    gains[:, ~(is_known[:, None] & is_known)] = (0.0, -1.0, 1.0)
    is_capable = np.ones_like(quality, dtype=np.bool_)
    found = Forecast(*nowhere, quality, usd, is_capable, centred(spreads, quality), gains)
    return Typical(found, _sds(state, len(rows), at, is_known))


def _figures(
    state: RouterState, known: Known, cards: Sequence[ModelCard], rows: IntArray, at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Expected quality and USD, both (n, c); of cards that the state does not know, those of a mean model."""
    calibration = state.calibration
    is_known = [known.column(card) is not None for card in cards]
    overall = np.array([known.overall(card) for card in cards])
    quality = np.where(is_known, calibration.quality[rows][:, at], overall[:, 0])
    tokens = np.where(is_known, calibration.expected_tokens[rows][:, at], overall[:, 1])
    inputs, outputs = np.array([(card.input_price, card.output_price) for card in cards]).T
    return quality, (calibration.prompt_tokens[rows, None] * inputs + tokens * outputs) / 1e6


def _sds(state: RouterState, n: int, at: IntArray, is_known: BoolArray) -> FloatArray:
    """Standard deviations of quality, (n, c), of rows as strange as a state's rows are."""
    leverage = typical_leverage(state)
    known = np.where(is_known, leverage * state.expectation.residual[at], UNKNOWN_SD**2)
    like = np.ones(n)
    if state.clusters.familiar[1] > state.clusters.familiar[0]:
        like = np.clip(((np.arange(n) + 0.5) / max(n, 1) - STRANGE) / (FAMILIAR - STRANGE), 0.0, 1.0)
    return np.sqrt(like[:, None] * known + (1 - like[:, None]) * UNKNOWN_SD**2)


def typical_leverage(state: RouterState) -> float:
    """The mean leverage of a request like the rows that were fitted, which had not been among them.

    Of n rows x with the covariance C = (X'X + penalty)^-1 the mean of x'Cx is (d - penalty trace C) / n; of
    a row that was left out, h becomes h / (1 - h).
    """
    covariance, n = state.expectation.covariance, state.expectation.rows
    inside = (len(covariance) - MEANING_PENALTY * float(np.trace(covariance)) + 1) / n
    return inside / max(1 - inside, 1 / n)
