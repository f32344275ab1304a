"""Beliefs: what is known of one kind of request and how surely, and plans on draws from it. Pure.

Knows neither what share of requests is drawn for, nor what exploring may cost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinnace.router.policy import Plan, Prospect, plan_route
from pinnace.router.route import Rung

ABOVE_ALL = math.nextafter(1.0, 2.0)
"""A bar that no confidence reaches."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of one kind of request: prospects, the standard deviation of each one's quality in the
    same order, the policy's exchange rate, and how often such requests come, relative to other kinds.
    `usual` is the plan that is served without exploring, where it is not `plan_route`'s own. `answerer` is
    the large model under a certified floor, which then answers whatever is explored.
    """

    prospects: tuple[Prospect, ...]
    sds: tuple[float, ...]
    rate: float
    weight: float = 1.0
    usual: Plan | None = None
    answerer: str | None = None

    def plan(self) -> Plan:
        """The plan that is served without exploring."""
        return self.usual or plan_route(self.prospects, self.rate)


def sampled_plan(belief: Belief, seed: int) -> Plan:
    """The plan for qualities drawn from a normal distribution around the estimates, cut to 0..1.

    A model's confidences move with its quality: they are what its quality is the mean of.
    """
    return plan_route(_drawn(belief, seed), belief.rate)


def compared_plan(belief: Belief, seed: int) -> Plan:
    """The `answerer` answers, and before it that model is tried, in vain, which is best for the draws.

    The usual plan where it cannot serve the request, or where no other model can.
    """
    drawn = _drawn(belief, seed)
    others = [prospect for prospect in drawn if prospect.model != belief.answerer]
    if belief.answerer is None or not others or len(others) == len(drawn):
        return belief.plan()
    others.sort(key=lambda prospect: (belief.rate * prospect.cost_usd - prospect.quality, prospect.cost_usd))
    tried = others[0].model
    rungs = (Rung(tried, ABOVE_ALL), Rung(belief.answerer))
    fallbacks = tuple(Rung(prospect.model, is_fallback=True) for prospect in others[1:])
    why = f"{tried} is tried and always climbed past, to compare the answers, and {belief.answerer} answers"
    return Plan(rungs + fallbacks, "cascade", why)


def outcome_of(plan: Plan, prospects: Sequence[Prospect]) -> tuple[float, float]:
    """Expected quality and USD of a plan's ladder by the estimates, nothing failing."""
    by_name = {prospect.model: prospect for prospect in prospects}
    quality, usd = 0.0, 0.0
    for rung in reversed([rung for rung in plan.rungs if not rung.is_fallback]):
        prospect = by_name[rung.model]
        if rung.bar == ABOVE_ALL:
            usd += prospect.cost_usd
            continue
        if rung.bar is None or not prospect.confidences:
            quality, usd = prospect.quality, prospect.cost_usd
            continue
        kept = [confidence for confidence in prospect.confidences if confidence >= rung.bar]
        climbs = 1 - len(kept) / len(prospect.confidences)
        quality = sum(kept) / len(prospect.confidences) + climbs * quality
        usd = prospect.cost_usd + climbs * usd
    return quality, usd


def _drawn(belief: Belief, seed: int) -> list[Prospect]:
    """The prospects as a draw has them."""
    normal = np.random.default_rng(seed).standard_normal(len(belief.prospects))
    return [
        _moved(prospect, sd * draw)
        for prospect, sd, draw in zip(belief.prospects, belief.sds, normal.tolist(), strict=True)
    ]


def _moved(prospect: Prospect, by: float) -> Prospect:
    quality = min(max(prospect.quality + by, 0.0), 1.0)
    moved = tuple(min(max(confidence + by, 0.0), 1.0) for confidence in prospect.confidences)
    return replace(prospect, quality=quality, confidences=moved)
