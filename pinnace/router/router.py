"""The router: from a request to its route. Embeds, forecasts, and plans on the policy's terms.

Runs no model but the embedder. Its estimates come from the fitted state; a fleet member that the state
has never seen is given the mean of those it has, and says so.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from pinnace.config import AnyPolicy, Explore
from pinnace.errors import NoCapableModelError, StateError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.evidence import Evidence
from pinnace.router.exploration import Exploration
from pinnace.router.explorer import Explorer
from pinnace.router.forecast import Forecast, Forecaster
from pinnace.router.forecast_queue import ForecastQueue
from pinnace.router.known import Known
from pinnace.router.ladders import Ladders, plan_ladders
from pinnace.router.pinned import unread_route
from pinnace.router.planner import Terms, make_planner
from pinnace.router.policy import Plan
from pinnace.router.preparing import Preparing
from pinnace.router.prospects import estimates_of, gains_of, matches_of, measured, plan_of, prospects_of
from pinnace.router.route import Route, Rung
from pinnace.router.routed_text import routed_text
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray


class Router:
    """Chooses routes by one fitted state and one policy. `start` before use, `stop` after.

    :param explore: which share of requests is served otherwise, to learn from; None for none.
    :raises StateError: when the state was fitted with another embedder.
    """

    def __init__(
        self,
        state: RouterState,
        embeddings: EmbeddingQueue,
        policy: AnyPolicy,
        explore: Explore | None = None,
    ) -> None:
        fitted_with, name = state.provenance.embedder, embeddings.embedder.name
        if fitted_with != name:
            raise StateError(f"the router state was fitted with embedder {fitted_with!r}, got {name!r}")
        self.state = state
        self.policy = policy
        self._embeddings = embeddings
        self._known = Known(state)
        self._forecaster = Forecaster(state, self._known)
        self._planner = make_planner(policy, state, self._known, explore.share if explore else 0.0)
        self._explorer = (
            Explorer(Exploration(**explore.model_dump()), state, self._known, self._forecaster, self._planner)
            if explore
            else None
        )
        self._forecasts = ForecastQueue(self._seen)
        self._preparing = Preparing(self._planner, self._explorer)

    def start(self) -> None:
        """Start the embedder's thread."""
        self._embeddings.start()

    def watch_batches(self, on_batch: Callable[[int, float], None]) -> None:
        """Have `on_batch` told of every batch of embeddings: how many texts, and the seconds they took."""
        self._embeddings.on_batch = on_batch

    @property
    def embeddings(self) -> EmbeddingQueue:
        """The embedder, which more than one router may share."""
        return self._embeddings

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Pick what the policy picks for a fleet, before its first request; the log says what it is.

        Where requests are explored, it says what that is expected to cost.
        """
        if cards:
            self._preparing.prepare(cards)

    async def warm(self) -> None:
        """Load the embedder, on its own thread, so that the first request need not wait for it.

        :raises WeightsError: when its weights cannot be had.
        """
        await self._embeddings.embed("warm")

    def stop(self) -> None:
        """Stop the embedder's thread."""
        self._embeddings.stop()

    async def route(self, request: Request, cards: Sequence[ModelCard], pinned: str | None = None) -> Route:
        """Choose the route of `request` over the models of `cards`.

        :param pinned: the one model that the client named; its needs are still checked.
        :raises NoCapableModelError: when no model meets the request's hard needs; says why for each.
        """
        if pinned and (unread := unread_route(pinned, request, cards, self._known, self.can_judge)):
            return unread
        began = time.perf_counter()
        if pinned is None:
            await self._preparing.ready(cards)
        asked = time.perf_counter()
        vector = await self._embeddings.embed(routed_text(request))
        embed_s = time.perf_counter() - asked
        features, found = await self._forecasts.forecast(vector, request, cards)
        return self._decided(features, found, request, cards, pinned, began, embed_s)

    def decide(
        self,
        vector: FloatArray,
        request: Request,
        cards: Sequence[ModelCard],
        *,
        pinned: str | None = None,
    ) -> Route:
        """The same, for a request that is already embedded: `vector` is of shape (dim,)."""
        began = time.perf_counter()
        features, found = self._seen([request], vector[None, :], cards)
        return self._decided(features, found, request, cards, pinned, began, 0.0)

    def _decided(
        self,
        features: FloatArray,
        found: Forecast,
        request: Request,
        cards: Sequence[ModelCard],
        pinned: str | None,
        began: float,
        embed_s: float,
    ) -> Route:
        """The route of a request, from what was found out about it."""
        sds = self._forecaster.sd(features, found.familiarity, cards)[0]
        estimates = estimates_of(found, sds, request, cards)
        asked = [pinned in (None, card.name) for card in cards]
        if not (found.is_capable[0] & asked).any():
            reasons = "; ".join(f"{e.model}: {e.struck_out}" for e in estimates if pinned in (None, e.model))
            raise NoCapableModelError(f"no model of the fleet can serve this request: {reasons}")
        if pinned is not None:
            plan = Plan((Rung(pinned),), "pinned", f"the request names {pinned}")
        else:
            plan = self._plan(found, sds, request, cards)
        return Route(
            plan.rungs,
            plan.strategy,
            plan.why,
            matches_of(found, self.state.clusters.labels),
            float(found.familiarity[0]),
            estimates,
            time.perf_counter() - began,
            gains_of(found, cards),
            began,
            embed_s,
        )

    def features(self, texts: Sequence[str], vectors: FloatArray) -> FloatArray:
        """The features of requests with these texts and embeddings (n, dim), of shape (n, d)."""
        return self.state.expectation.see(texts, vectors)

    def decide_many(
        self, features: FloatArray, requests: Sequence[Request], cards: Sequence[ModelCard]
    ) -> Ladders:
        """The ladders of n requests at once, as `decide` has them: for loads that are routed before they run.

        :param features: (n, d), from `features`.
        :raises NoCapableModelError: when no model meets the hard needs of one of them.
        """
        found = self._forecast(features, requests, cards)
        if not found.is_capable.any(axis=1).all():
            at = int(np.argmin(found.is_capable.any(axis=1)))
            raise NoCapableModelError(f"no model of the fleet can serve request {at}")
        terms = self._terms(found, requests, cards)
        names = tuple(card.name for card in cards)
        if terms.margin is None:
            spreads = np.where(found.is_worth_climbing()[..., None], found.spreads, np.nan)
            quality = found.quality
        else:
            spreads = np.full_like(found.spreads, np.nan)
            quality = found.quality.copy()
            known = measured(cards, self._known)
            quality[:, [name not in known for name in names]] = -np.inf
            large = self._known.large(cards)
            quality[:, large] = found.quality[:, large] + terms.margin
        least_bars = np.array([card.least_bar for card in cards])
        ladders = plan_ladders(names, quality, found.usd, spreads, found.is_capable, terms.rates, least_bars)
        if self._explorer is None:
            return ladders
        ids = [request.id for request in requests]
        return self._explorer.explore_many(ladders, ids, features, found, terms, cards)

    def spend(self, route: Route, usd: float) -> None:
        """Tell what a request cost that was served by `route`; pinned ones are not the policy's."""
        if route.strategy != "pinned":
            self._planner.spend(usd)

    def can_judge(self, card: ModelCard) -> bool:
        """Whether there is a calibrated gate for this model."""
        return self.state.gate.can_judge(card.estimates)

    def judge(self, route: Route, card: ModelCard, evidence: Sequence[Evidence], *, is_whole: bool) -> float:
        """P(right) of an answer of `card`'s model under `route`, the mean over its choices.

        Without a gate for the model it is the estimate that the route rests on.
        """
        prior = next((e.quality for e in route.estimates if e.model == card.name), 0.5)
        clusters = {match.index: match.weight for match in route.clusters}
        judge = self.state.gate.judge
        found = [
            judge(card.estimates, each, prior=prior, is_whole=is_whole, clusters=clusters)
            for each in evidence
        ]
        return sum(found) / len(found)

    def _seen(
        self, requests: Sequence[Request], vectors: FloatArray, cards: Sequence[ModelCard]
    ) -> tuple[FloatArray, Forecast]:
        features = self.features([routed_text(request) for request in requests], vectors)
        return features, self._forecast(features, requests, cards)

    def _forecast(
        self, features: FloatArray, requests: Sequence[Request], cards: Sequence[ModelCard]
    ) -> Forecast:
        by_fold = self._planner.is_calibrated
        return self._forecaster.forecast(features, requests, cards, by_fold=by_fold)

    def _terms(self, found: Forecast, requests: Sequence[Request], cards: Sequence[ModelCard]) -> Terms:
        dearest = np.where(found.is_capable, found.usd, 0.0).max(axis=1)
        return self._planner.terms(cards, [routed_text(request) for request in requests], dearest)

    def _plan(self, found: Forecast, sds: FloatArray, request: Request, cards: Sequence[ModelCard]) -> Plan:
        terms = self._terms(found, [request], cards)
        rate = float(terms.rates[0])
        if self._explorer is not None:
            plan = self._explorer.explored(request.id, found, sds, rate, terms, cards)
            if plan is not None:
                return plan
        return plan_of(prospects_of(found, cards), rate, terms, cards, self._known)
