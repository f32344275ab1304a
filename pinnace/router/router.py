"""The router: from a request to its route. Embeds, finds clusters, estimates, and asks the policy.

Runs no model but the embedder. Its estimates come from the fitted state; a fleet member that the state
has never seen is given the mean of those it has, and says so.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.config import Policy
from pinnace.errors import NoCapableModelError, StateError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request, Usage
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.evidence import Evidence
from pinnace.router.needs import prompt_tokens, why_struck_out
from pinnace.router.policy import Prospect, exchange_rate, plan_route
from pinnace.router.route import ClusterMatch, ModelEstimate, Route, Rung
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray, IntArray

log = logging.getLogger(__name__)

TYPICAL = Usage(100, 100)
"""What models are ranked by price with."""
UNKNOWN_SD = 0.3


@dataclass(frozen=True, slots=True)
class _Located:
    """A request's clusters and their weights, both (p,), and how familiar it is, 0 to 1."""

    clusters: IntArray
    weights: FloatArray
    familiarity: float

    def blend(self, here: FloatArray, elsewhere: float | FloatArray) -> FloatArray:
        """The mean of `here` (k, ...) over the request's clusters; strange ones are nearer to `elsewhere`."""
        near = self.weights @ here[self.clusters]
        blended = self.familiarity * near + (1 - self.familiarity) * elsewhere
        return np.asarray(blended, dtype=np.float64)


class Router:
    """Chooses routes by one fitted state and one policy. `start` before use, `stop` after.

    :raises StateError: when the state was fitted with another embedder.
    """

    def __init__(self, state: RouterState, embeddings: EmbeddingQueue, policy: Policy) -> None:
        fitted_with, name = state.provenance.embedder, embeddings.embedder.name
        if fitted_with != name:
            raise StateError(f"the router state was fitted with embedder {fitted_with!r}, got {name!r}")
        self.state = state
        self.policy = policy
        self._embeddings = embeddings
        self._columns = {model: column for column, model in enumerate(state.models)}
        self._missed: set[str] = set()

    def start(self) -> None:
        """Start the embedder's thread."""
        self._embeddings.start()

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
        began = time.perf_counter()
        vector = await self._embeddings.embed(request.text())
        return self.decide(vector, request, cards, pinned=pinned, began=began)

    def decide(
        self,
        vector: FloatArray,
        request: Request,
        cards: Sequence[ModelCard],
        *,
        pinned: str | None = None,
        began: float | None = None,
    ) -> Route:
        """The same, for a request that is already embedded: `vector` is of shape (dim,)."""
        began = time.perf_counter() if began is None else began
        located = self._locate(vector)
        estimates = tuple(self._estimate(located, request, card) for card in cards)
        capable = [e for e in estimates if e.struck_out is None and pinned in (None, e.model)]
        if not capable:
            reasons = "; ".join(f"{e.model}: {e.struck_out}" for e in estimates if pinned in (None, e.model))
            raise NoCapableModelError(f"no model of the fleet can serve this request: {reasons}")
        if pinned is not None:
            rungs, strategy, why = (Rung(pinned),), "pinned", f"the request names {pinned}"
        else:
            by_name = {card.name: card for card in cards}
            prospects = [self._prospect(located, estimate, by_name[estimate.model]) for estimate in capable]
            plan = plan_route(prospects, self.rate(cards, max(p.cost_usd for p in prospects)))
            rungs, strategy, why = plan.rungs, plan.strategy, plan.why
        took = time.perf_counter() - began
        return Route(rungs, strategy, why, self._matches(located), located.familiarity, estimates, took)

    def can_judge(self, card: ModelCard) -> bool:
        """Whether there is a calibrated gate for this model."""
        return self.state.gate.can_judge(card.estimates)

    def judge(self, route: Route, card: ModelCard, evidence: Sequence[Evidence], *, is_whole: bool) -> float:
        """P(right) of an answer of `card`'s model under `route`, the mean over its choices.

        Without a gate for the model it is the estimate that the route rests on.
        """
        prior = next((e.quality for e in route.estimates if e.model == card.name), 0.5)
        judge = self.state.gate.judge
        found = [judge(card.estimates, each, prior=prior, is_whole=is_whole) for each in evidence]
        return sum(found) / len(found)

    def rate(self, cards: Sequence[ModelCard], dearest_usd: float) -> float:
        """Lambda for a request on which the dearest of `cards` costs `dearest_usd`: see `exchange_rate`."""
        by_price = sorted(cards, key=lambda card: card.cost(TYPICAL))
        gap = self._overall(by_price[-1])[0] - self._overall(by_price[0])[0]
        return exchange_rate(self.policy.alpha, gap, dearest_usd)

    def _overall(self, card: ModelCard) -> tuple[float, float]:
        """Quality and completion tokens of a model over all rows; the mean of all where it is unknown."""
        column = self._column(card)
        quality, tokens = self.state.overall.mean(axis=0) if column is None else self.state.overall[column]
        return float(quality), float(tokens)

    def _locate(self, vector: FloatArray) -> _Located:
        clusters, weights = self.state.clusters.membership(vector[None, :])
        return _Located(clusters[0], weights[0], float(self.state.clusters.familiarity(vector[None, :])[0]))

    def _matches(self, located: _Located) -> tuple[ClusterMatch, ...]:
        labels = self.state.clusters.labels
        return tuple(
            ClusterMatch(int(cluster), labels[int(cluster)], float(weight))
            for cluster, weight in zip(located.clusters, located.weights, strict=True)
        )

    def _estimate(self, located: _Located, request: Request, card: ModelCard) -> ModelEstimate:
        column = self._column(card)
        quality, tokens = self._overall(card)
        sd = UNKNOWN_SD
        if column is not None:
            quality = float(located.blend(self.state.quality[:, column], quality))
            tokens = float(located.blend(self.state.output_tokens[:, column], tokens))
            sd = math.sqrt(located.blend(self.state.quality_sd[:, column] ** 2, UNKNOWN_SD**2))
        usage = Usage(prompt_tokens(request), round(min(tokens, request.max_tokens) * request.n))
        return ModelEstimate(card.name, quality, sd, card.cost(usage), why_struck_out(card, request))

    def _prospect(self, located: _Located, estimate: ModelEstimate, card: ModelCard) -> Prospect:
        column = self._column(card)
        confidences: tuple[float, ...] = ()
        if column is not None and self.can_judge(card):
            everywhere = self.state.confidences[:, column].mean(axis=0)
            spread = located.blend(self.state.confidences[:, column], everywhere)
            confidences = () if np.isnan(spread).any() else tuple(spread.tolist())
        return Prospect(estimate.model, estimate.quality, estimate.cost_usd, confidences)

    def _column(self, card: ModelCard) -> int | None:
        column = self._columns.get(card.estimates)
        if column is None and card.name not in self._missed:
            self._missed.add(card.name)
            log.warning("the router state knows nothing of %s: it is given the mean of the others", card.name)
        return column
