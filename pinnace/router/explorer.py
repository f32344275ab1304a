"""The explorer: exploration for a fleet and the policy that it is served by.

Before a fleet's first request it works out what exploring is expected to cost on typical requests, lowers
the share to what the limits allow, and logs both. It never explores a request that has no id, as nothing
would tell it from others. Knows no client: who names a model is never asked about here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pinnace.models.card import ModelCard
from pinnace.router.belief import Belief
from pinnace.router.exploration import (
    Exploration,
    ExplorationCost,
    bounded_share,
    expected_cost,
    explore,
    is_drawn,
)
from pinnace.router.forecast import Forecast, Forecaster
from pinnace.router.known import Known
from pinnace.router.ladders import Ladders
from pinnace.router.planner import FleetKey, Planner, Terms, key_of
from pinnace.router.policy import Plan
from pinnace.router.prospects import plan_of, prospects_of
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray
from pinnace.router.typical import typical_requests

log = logging.getLogger(__name__)

DRAWS = 5
"""Draws for each typical request."""
NOTHING = ExplorationCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Explorer:
    """Explores on behalf of one router."""

    def __init__(
        self,
        settings: Exploration,
        state: RouterState,
        known: Known,
        forecaster: Forecaster,
        planner: Planner,
    ) -> None:
        self._settings = settings
        self._state = state
        self._known = known
        self._forecaster = forecaster
        self._planner = planner
        self._costs: dict[FleetKey, ExplorationCost] = {}

    def cost(self, cards: Sequence[ModelCard]) -> ExplorationCost:
        """What exploring is expected to cost over a fleet, at the share that is explored; logged once."""
        key = key_of(cards)
        if key not in self._costs:
            self._costs[key] = self._stated(cards)
        return self._costs[key]

    def is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        """Whether `cost` is known already."""
        return key_of(cards) in self._costs

    def is_drawn(self, request_id: str, cards: Sequence[ModelCard]) -> bool:
        """Whether a request is one of those that may be explored."""
        return bool(request_id) and is_drawn(request_id, self.cost(cards).share)

    def explored(
        self,
        request_id: str,
        found: Forecast,
        sds: FloatArray,
        rate: float,
        terms: Terms,
        cards: Sequence[ModelCard],
    ) -> Plan | None:
        """The plan that a request explores; None where it is served as usual.

        :param found: the forecast of this request alone.
        :param sds: standard deviations of its expected quality, (c,).
        :param rate: its exchange rate, on these `terms`.
        """
        if not self.is_drawn(request_id, cards):
            return None
        belief = self._belief(found, sds, rate, terms, cards)
        return explore(belief, replace(self._settings, share=self.cost(cards).share), request_id)

    def explore_many(
        self,
        ladders: Ladders,
        ids: Sequence[str],
        features: FloatArray,
        found: Forecast,
        terms: Terms,
        cards: Sequence[ModelCard],
    ) -> Ladders:
        """The ladders of n requests with the explored ones in their place.

        :param ids: of each request, (n,); `features` (n, d) and `found` are of the same.
        """
        share = self.cost(cards).share
        drawn = [at for at, request_id in enumerate(ids) if request_id and is_drawn(request_id, share)]
        sds = self._forecaster.sd(features[drawn], found.familiarity[drawn], cards)
        plans: dict[int, Plan] = {}
        for at, own in zip(drawn, sds, strict=True):
            rate = float(terms.rates[at])
            if plan := self.explored(ids[at], found.of_row(at), own, rate, terms, cards):
                plans[at] = plan
        return _with_plans(ladders, plans, [card.name for card in cards])

    def _belief(
        self, found: Forecast, sds: FloatArray, rate: float, terms: Terms, cards: Sequence[ModelCard]
    ) -> Belief:
        prospects = prospects_of(found, cards)
        usual = plan_of(prospects, rate, terms, cards, self._known)
        answerer = cards[self._known.large(cards)].name if terms.margin is not None else None
        own = sds[found.is_capable[0]].tolist()
        return Belief(prospects, tuple(own), rate, usual=usual, answerer=answerer)

    def _stated(self, cards: Sequence[ModelCard]) -> ExplorationCost:
        if len(cards) == 1:
            return NOTHING
        beliefs = self._typical_beliefs(cards)
        if not beliefs:
            log.warning("nothing is explored: no calibration row tells what it would cost")
            return NOTHING
        asked = expected_cost(beliefs, self._settings, draws=DRAWS)
        cost = bounded_share(asked, self._settings)
        log.info("exploring %s", _told(cost, asked.share))
        return cost

    def _typical_beliefs(self, cards: Sequence[ModelCard]) -> list[Belief]:
        typical = typical_requests(self._state, self._known, cards)
        texts = [f"typical request {i}" for i in range(len(typical.sds))]
        terms = self._planner.terms(cards, texts, typical.found.usd.max(axis=1))
        return [
            self._belief(typical.found.of_row(i), sds, float(terms.rates[i]), terms, cards)
            for i, sds in enumerate(typical.sds)
        ]


def _told(cost: ExplorationCost, asked: float) -> str:
    lowered = f" (lowered from {asked:.2%} to keep within its limits)" if cost.share < asked else ""
    return (
        f"{cost.share:.2%} of requests{lowered}: expected to add {cost.extra_usd_per_1k:.4g} USD and to lose "
        f"{cost.quality_loss_per_1k:.3g} answers per 1,000 requests; "
        f"{cost.changed:.0%} of those drawn are served otherwise"
    )


def _with_plans(ladders: Ladders, plans: Mapping[int, Plan], names: Sequence[str]) -> Ladders:
    first, is_rung, bars = ladders.first.copy(), ladders.is_rung.copy(), ladders.bars.copy()
    for at, plan in plans.items():
        rungs = [rung for rung in plan.rungs if not rung.is_fallback]
        first[at] = names.index(rungs[0].model)
        is_rung[at], bars[at] = False, np.nan
        for rung in rungs:
            is_rung[at, names.index(rung.model)] = True
            bars[at, names.index(rung.model)] = np.nan if rung.bar is None else rung.bar
    return Ladders(first, is_rung, bars)
