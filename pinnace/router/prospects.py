"""Prospects and plans of single requests: from a forecast and the policy's terms to what is served. Pure."""

from collections.abc import Sequence

import numpy as np

from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.router.forecast import Forecast
from pinnace.router.known import Known
from pinnace.router.needs import why_struck_out
from pinnace.router.planner import Terms
from pinnace.router.policy import Plan, Prospect, certified_prospects, plan_route
from pinnace.router.route import ClusterMatch, EscalationGain, ModelEstimate
from pinnace.router.types import FloatArray


def measured(cards: Sequence[ModelCard], known: Known) -> set[str]:
    """The names of those of `cards` that the state knows."""
    return {card.name for card in cards if known.column(card) is not None}


def prospects_of(found: Forecast, cards: Sequence[ModelCard]) -> tuple[Prospect, ...]:
    """The capable models of the one request of `found` as the policy sees them, in the order of `cards`.

    None of them is to be climbed from where nothing dearer improves on it.
    """
    climbs = found.is_worth_climbing()[0]
    prospects: list[Prospect] = []
    for i, card in enumerate(cards):
        if found.is_capable[0, i]:
            spread = found.spreads[0, i]
            judged = climbs[i] and not np.isnan(spread).any()
            confidences = tuple(spread.tolist()) if judged else ()
            quality, usd = float(found.quality[0, i]), float(found.usd[0, i])
            prospects.append(Prospect(card.name, quality, usd, confidences, card.least_bar))
    return tuple(prospects)


def plan_of(
    prospects: Sequence[Prospect], rate: float, terms: Terms, cards: Sequence[ModelCard], known: Known
) -> Plan:
    """What the policy serves one request by: its own `rate`, and the margin of `terms` where it has one."""
    if terms.margin is None:
        plan = plan_route(prospects, rate)
        return Plan(plan.rungs, plan.strategy, f"{plan.why}; {terms.why}" if terms.why else plan.why)
    large = cards[known.large(cards)].name
    eligible = measured(cards, known) | {large}
    hoped = [p if p.model in eligible else Prospect(p.model, -np.inf, p.cost_usd) for p in prospects]
    plan = plan_route(certified_prospects(hoped, large, terms.margin), rate)
    why = terms.why if any(p.model == large for p in prospects) else f"{large} cannot serve it"
    return Plan(plan.rungs, plan.strategy, f"{plan.rungs[0].model} answers, {why}")


def gains_of(found: Forecast, cards: Sequence[ModelCard]) -> tuple[EscalationGain, ...]:
    """What the dearest capable model wins over each other one on such requests."""
    usd = np.where(found.is_capable[0], found.usd[0], -np.inf)
    top = int(np.argmax(usd))
    return tuple(
        EscalationGain(card.name, cards[top].name, *map(float, found.gains[0, i, top]))
        for i, card in enumerate(cards)
        if found.is_capable[0, i] and i != top
    )


def estimates_of(
    found: Forecast, sds: FloatArray, request: Request, cards: Sequence[ModelCard]
) -> tuple[ModelEstimate, ...]:
    """What to expect of each card's model on the one request of `found`; `sds` (c,) is how sure that is."""
    return tuple(
        ModelEstimate(
            card.name,
            float(found.quality[0, i]),
            float(sds[i]),
            float(found.usd[0, i]),
            why_struck_out(card, request),
        )
        for i, card in enumerate(cards)
    )


def matches_of(found: Forecast, labels: Sequence[str]) -> tuple[ClusterMatch, ...]:
    """The clusters of the one request of `found`, by their `labels`."""
    pairs = zip(found.clusters[0], found.weights[0], strict=True)
    return tuple(ClusterMatch(int(at), labels[int(at)], float(weight)) for at, weight in pairs)
