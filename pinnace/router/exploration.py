"""Exploration: a share of requests is served as if the estimates were a little otherwise. Pure.

Thompson sampling (Thompson 1933; Chapelle and Li, NIPS 2011): of every model a quality is drawn from what is
believed of it, and the policy plans on the draws. Where much is known, the draws change nothing; where
little is known, other models are tried, and bars rise, so that drafts are climbed past which would have
been accepted, and both rungs' answers can be compared. The draws follow from the request's id alone: the
same request is explored in the same way, and a client that sends one id always, always or never.

Inside the floor: a plan is served only if, by the estimates themselves and not by the draws, its quality is
not below both the usual plan's and `keep` of the large model's. And it has a stated cost: what it is
expected to lose in quality and to cost in USD is computed before any request (`expected_cost`), and the
share is lowered until both are within their limits (`bounded_share`).

Under a certified floor that is not enough: what is promised there is promised of the rule, not of estimates.
So nothing is chosen by the draws but the model whose answer is compared: it is tried, always climbed past,
and the large model answers (`compared_plan`). Every drawn request is then answered by the large model,
whatever is asked, so none of them can lack what the floor keeps, and the others are served by the rule.

Knows prospects and plans; neither clusters nor backends, nor what was learnt from exploring.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from pinnace.router.belief import Belief, compared_plan, outcome_of, sampled_plan
from pinnace.router.policy import Plan

STRATEGY = "explored"
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Exploration:
    """Settings. `share` of requests, 0..1, is drawn for; `keep` is the floor that no explored plan goes
    below, as a share of the large model's estimated quality. The limits are per 1,000 requests served,
    explored or not: USD, and answers lost; None is no limit.
    """

    share: float
    keep: float = 0.95
    max_extra_usd_per_1k: float | None = None
    max_quality_loss_per_1k: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: expected a number from 0 to 1, got {self.share!r}")
        if not 0 <= self.keep <= 1:
            raise ValueError(f"keep: expected a number from 0 to 1, got {self.keep!r}")
        limits = (self.max_extra_usd_per_1k, self.max_quality_loss_per_1k)
        if any(limit is not None and not limit >= 0 for limit in limits):
            raise ValueError(f"limits: expected numbers of at least 0 or none, got {limits!r}")


@dataclass(frozen=True, slots=True)
class ExplorationCost:
    """What exploring is expected to cost per 1,000 requests served at `share`: answers lost, and extra USD,
    either negative where it gains. `worth_loss_per_1k` is both at the policy's rate, in answers; it is never
    negative, as the usual plan is the best by the estimates. `changed` is the share of drawn requests that
    are served by another plan, `refused_by_floor` that of other plans which the floor forbade.
    """

    share: float
    quality_loss_per_1k: float
    extra_usd_per_1k: float
    worth_loss_per_1k: float
    changed: float
    refused_by_floor: float


def is_drawn(request_id: str, share: float) -> bool:
    """Whether a request is one of the `share` that is drawn for: the same for the same id."""
    return _digest("share", request_id) / 2**64 < share


def explore(belief: Belief, settings: Exploration, request_id: str) -> Plan | None:
    """The plan that this request explores, or None where it is served as usual."""
    if not is_drawn(request_id, settings.share):
        return None
    usual = belief.plan()
    sampled = _tried_plan(belief, _digest("draw", request_id))
    if _ladder(sampled) == _ladder(usual) or not _is_inside(sampled, usual, belief, settings.keep):
        return None
    return replace(sampled, strategy=STRATEGY, why=f"explored: {sampled.strategy}: {sampled.why}")


def expected_cost(
    beliefs: Sequence[Belief], settings: Exploration, *, draws: int = 200, seed: int = 0
) -> ExplorationCost:
    """What exploring costs on average over `beliefs`, each one counted by its weight.

    :param draws: plans drawn of each belief.
    """
    assert beliefs, "there is something to explore"
    found = np.array([_mean_change(each, settings.keep, draws, seed + i) for i, each in enumerate(beliefs)])
    weights = np.array([belief.weight for belief in beliefs])
    loss, usd, worth, changed, refused = (weights @ found / weights.sum()).tolist()
    return ExplorationCost(
        share=settings.share,
        quality_loss_per_1k=1000 * settings.share * loss,
        extra_usd_per_1k=1000 * settings.share * usd,
        worth_loss_per_1k=1000 * settings.share * worth,
        changed=changed,
        refused_by_floor=refused / (changed + refused) if refused else 0.0,
    )


def bounded_share(cost: ExplorationCost, settings: Exploration, slack: float = math.inf) -> ExplorationCost:
    """The cost at the largest share, up to that of the settings, that keeps to its limits.

    :param slack: quality per request, 0..1, that a certified floor has to spare (`Floor.bound`).
    """
    most_loss = _least(settings.max_quality_loss_per_1k, 1000 * slack)
    factor = min(
        1.0,
        _fit(cost.quality_loss_per_1k, most_loss),
        _fit(cost.extra_usd_per_1k, _least(settings.max_extra_usd_per_1k, math.inf)),
    )
    return replace(
        cost,
        share=cost.share * factor,
        quality_loss_per_1k=cost.quality_loss_per_1k * factor,
        extra_usd_per_1k=cost.extra_usd_per_1k * factor,
        worth_loss_per_1k=cost.worth_loss_per_1k * factor,
    )


def _mean_change(belief: Belief, keep: float, draws: int, seed: int) -> tuple[float, ...]:
    """Per drawn request: quality lost, USD added, worth lost, the shares served otherwise and refused."""
    usual = belief.plan()
    quality, usd = outcome_of(usual, belief.prospects)
    totals = np.zeros(5)
    for draw in range(draws):
        sampled = _tried_plan(belief, _digest(str(seed), str(draw)))
        if _ladder(sampled) == _ladder(usual):
            continue
        if not _is_inside(sampled, usual, belief, keep):
            totals[4] += 1
            continue
        found = outcome_of(sampled, belief.prospects)
        lost, extra = quality - found[0], found[1] - usd
        totals += (lost, extra, lost + belief.rate * extra, 1.0, 0.0)
    return tuple((totals / draws).tolist())


def _tried_plan(belief: Belief, seed: int) -> Plan:
    return sampled_plan(belief, seed) if belief.answerer is None else compared_plan(belief, seed)


def _is_inside(sampled: Plan, usual: Plan, belief: Belief, keep: float) -> bool:
    """Whether a plan's estimated quality is at least the usual plan's, or the floor where that is lower."""
    if belief.answerer is not None:
        return True  # the large model answers
    large = max(belief.prospects, key=lambda prospect: prospect.cost_usd)
    floor = min(outcome_of(usual, belief.prospects)[0], keep * large.quality)
    return outcome_of(sampled, belief.prospects)[0] >= floor - TOLERANCE


def _ladder(plan: Plan) -> tuple[tuple[str, float | None], ...]:
    return tuple((rung.model, rung.bar) for rung in plan.rungs if not rung.is_fallback)


def _least(limit: float | None, other: float) -> float:
    return other if limit is None else min(limit, other)


def _fit(cost: float, limit: float) -> float:
    """The factor by which a cost must shrink to its limit."""
    return max(limit, 0.0) / cost if cost > max(limit, 0.0) else 1.0


def _digest(*parts: str) -> int:
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big")
