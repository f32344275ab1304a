"""Forecasts: what to expect of each card's model on each of n requests, all at once.

Knows a state and cards; no policy, and of a request only its features, its length and its needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.voted import drawn_samples, is_held
from pinnace.router.calibration import sigmoids
from pinnace.router.known import Known
from pinnace.router.needs import prompt_tokens, why_struck_out
from pinnace.router.routed_text import routed_text
from pinnace.router.state import QUANTILES, RouterState
from pinnace.router.types import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

UNKNOWN_SD = 0.3
SHIFTS = 8
"""Newton's steps by which a spread is centred; five reach a thousandth almost everywhere."""
OFF_THE_ENDS = 0.005
"""How far from 0 and 1 confidences are kept before they are shifted."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """n requests, c cards, p clusters of each request.

    `clusters` and `weights` (n, p) and `familiarity` (n,) place the requests; `quality`, `usd` and
    `is_capable` are (n, c); `spreads` (n, c, q) are equally likely confidences, NaN where no gate judges;
    `gains` (n, c, c, 3) is what the second card's model wins over the first, with its interval.
    """

    clusters: IntArray
    weights: FloatArray
    familiarity: FloatArray
    quality: FloatArray
    usd: FloatArray
    is_capable: BoolArray
    spreads: FloatArray
    gains: FloatArray

    def of_row(self, row: int) -> "Forecast":
        """The forecast of one of the requests."""
        return Forecast(*(getattr(self, field.name)[row : row + 1] for field in fields(self)))

    def is_worth_climbing(self) -> BoolArray:
        """Whether some dearer capable model may win anything over each card's, (n, c)."""
        is_dearer = self.usd[:, None, :] > self.usd[:, :, None]
        wins = is_dearer & self.is_capable[:, None, :] & (self.gains[..., 2] > 0)
        return np.asarray(wins.any(axis=2), dtype=np.bool_)


class Forecaster:
    """Makes forecasts from one fitted state."""

    def __init__(self, state: RouterState, known: Known) -> None:
        self._state = state
        self._known = known

    def forecast(
        self,
        features: FloatArray,
        requests: Sequence[Request],
        cards: Sequence[ModelCard],
        *,
        by_fold: bool = False,
    ) -> Forecast:
        """What to expect of requests with `features` (n, d).

        :param by_fold: by the heads of each request's fold, on which floors and budgets are calibrated. These
            are not drawn to the models' means: calibration rows are never strange to what they shaped, so
            that a rule which was picked on them would meet other estimates than it knows (docs/log.md).
        """
        state = self._state
        vectors = features[:, : state.clusters.centroids.shape[1]]
        clusters, weights = state.clusters.membership(vectors)
        familiarity = state.clusters.familiarity(vectors)
        heads = self._by_fold(features, requests) if by_fold else state.expectation.quality(features)
        columns, is_known = self._columns(cards)
        overall = np.array([self._known.overall(card) for card in cards])
        like = np.where(is_known, familiarity[:, None], 0.0)
        trust = np.broadcast_to(is_known, like.shape) if by_fold else like
        quality = trust * heads[:, columns] + (1 - trust) * overall[:, 0]
        near = np.einsum("np,npc->nc", weights, state.output_tokens[:, columns][clusters])
        tokens = like * near + (1 - like) * overall[:, 1]
        spreads = self._spreads(clusters, weights, familiarity, columns, self._is_judged(cards, is_known))
        return Forecast(
            clusters=clusters,
            weights=weights,
            familiarity=familiarity,
            quality=quality,
            usd=_usd(tokens, requests, cards),
            is_capable=np.array([[why_struck_out(c, r) is None for c in cards] for r in requests]),
            spreads=centred(spreads, quality),
            gains=self._gains(clusters, weights, familiarity, columns, is_known),
        )

    def sd(self, features: FloatArray, familiarity: FloatArray, cards: Sequence[ModelCard]) -> FloatArray:
        """Standard deviation of the expected quality, (n, c), wide for strange requests."""
        columns, is_known = self._columns(cards)
        like = np.where(is_known, familiarity[:, None], 0.0)
        known = self._state.expectation.sd(features)[:, columns]
        return np.sqrt(like * known**2 + (1 - like) * UNKNOWN_SD**2)

    def _by_fold(self, features: FloatArray, requests: Sequence[Request]) -> FloatArray:
        expectation = self._state.expectation
        folds = expectation.fold_of([routed_text(request) for request in requests])
        return expectation.quality_by_fold(features, folds)

    def _columns(self, cards: Sequence[ModelCard]) -> tuple[IntArray, BoolArray]:
        """The state's column of each card, 0 where it has none, and whether it has one."""
        found = [self._known.column(card) for card in cards]
        is_known: BoolArray = np.array([column is not None for column in found])
        return np.array([column or 0 for column in found], dtype=np.int64), is_known

    def _is_judged(self, cards: Sequence[ModelCard], is_known: BoolArray) -> BoolArray:
        return is_known & np.array([self._state.gate.can_judge(card.estimates) for card in cards])

    def _spreads(
        self,
        clusters: IntArray,
        weights: FloatArray,
        familiarity: FloatArray,
        columns: IntArray,
        is_judged: BoolArray,
    ) -> FloatArray:
        spreads = np.full((len(clusters), len(columns), QUANTILES), np.nan)
        if is_judged.any():
            here = self._state.confidences[:, columns[is_judged]]
            near = np.einsum("np,npcq->ncq", weights, here[clusters])
            like = familiarity[:, None, None]
            spreads[:, is_judged] = like * near + (1 - like) * here.mean(axis=0)
        return spreads

    def _gains(
        self,
        clusters: IntArray,
        weights: FloatArray,
        familiarity: FloatArray,
        columns: IntArray,
        is_known: BoolArray,
    ) -> FloatArray:
        """Gains between the cards' models; from -1 to 1 where one of them is not known."""
        gains = self._state.gains.intervals(clusters, weights, familiarity, columns)
        gains[:, ~(is_known[:, None] & is_known)] = (0.0, -1.0, 1.0)
        return gains


def centred(spreads: FloatArray, quality: FloatArray) -> FloatArray:
    """Spreads (n, c, q) of confidence, each shifted in log-odds until its mean is its `quality` (n, c).

    A cluster's spread tells how far confidences lie apart; where they lie is what the estimate is for. NaN
    stays NaN.
    """
    is_known = ~np.isnan(spreads).any(axis=2)
    moved = np.full_like(spreads, np.nan)
    if not is_known.any():
        return moved
    kept = np.clip(spreads[is_known], OFF_THE_ENDS, 1 - OFF_THE_ENDS)
    odds = np.log(kept / (1 - kept))
    target = np.clip(quality[is_known], OFF_THE_ENDS, 1 - OFF_THE_ENDS)
    shift = np.log(target / (1 - target)) - odds.mean(axis=1)
    for _ in range(SHIFTS):
        found = sigmoids(odds + shift[:, None])
        slope = np.maximum((found * (1 - found)).mean(axis=1), 1e-6)
        shift += np.clip((target - found.mean(axis=1)) / slope, -1.0, 1.0)
    moved[is_known] = sigmoids(odds + shift[:, None])
    return moved


def _usd(tokens: FloatArray, requests: Sequence[Request], cards: Sequence[ModelCard]) -> FloatArray:
    """USD of each request on each card's model, (n, c), for as many tokens as are expected and asked for.

    :param tokens: of one request, as a state learnt them: those of all votes where the model votes.
    """
    asked = np.array([(prompt_tokens(r), r.max_tokens) for r in requests], dtype=np.float64)
    prices = np.array([(card.input_price, card.output_price) for card in cards])
    votes = np.array([[card.votes if is_held(r) else 1 for card in cards] for r in requests])
    drawn = np.array([[drawn_samples(card.votes, r) for card in cards] for r in requests])
    completion = np.rint(np.minimum(tokens / votes, asked[:, [1]]) * drawn)
    return (asked[:, [0]] * prices[:, 0] + completion * prices[:, 1]) / 1e6
