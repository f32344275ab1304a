"""The policy: which rungs to try, in which order, and when to be content. Pure.

One rule decides everything: the next step is the one with the highest expected quality minus lambda
times cost, given what is known. Before an answer that is the estimate; after it, the gate's confidence.
A rung's bar is therefore the value of what comes after it: below the bar, climbing is worth more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pinnace.router.route import Rung

EPSILON = 1e-9
"""Values nearer to each other than this are equal, and then the simpler ladder is taken."""
NEARLY = 0.05
"""Expected quality by which a dearer model may be worse and still be worth climbing to by a least bar."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """One capable model on one request: expected quality, expected USD, and how its confidence spreads.

    `confidences` are equally likely values of the gate's verdict on this kind of request; empty where
    no gate judges the model, which can then only be a last rung. Below `least_bar` a judged answer of it
    never stands where a dearer model that is about as good (`NEARLY`) could answer, whatever the policy
    thinks of it.
    """

    model: str
    quality: float
    cost_usd: float
    confidences: tuple[float, ...] = ()
    least_bar: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The rungs in order, the strategy they make, and the reason in words."""

    rungs: tuple[Rung, ...]
    strategy: str
    why: str


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Rungs from some model upwards, what they are worth, and the expected quality of the last one."""

    value: float
    rungs: tuple[Rung, ...]
    top: float


def exchange_rate(alpha: float, gap: float, dearest_usd: float) -> float:
    """Lambda for one request, in quality per USD.

    lambda = (1 - alpha) / alpha x gap / dearest_usd. Paying for the dearest model must therefore gain at
    least (1 - alpha) / alpha of what it gains on average: all of it at alpha 0.5, a third at 0.75, nothing
    at 1. Cost is relative to the request's own, so that long requests are held to the same bar as short.

    :param gap: quality of the dearest model minus that of the cheapest, on average over all requests.
    :param dearest_usd: what the dearest capable model would cost on this request.
    """
    return (1 - alpha) / alpha * max(gap, 0.0) / dearest_usd if dearest_usd > 0 else 0.0


def certified_prospects(prospects: Sequence[Prospect], large: str, margin: float) -> tuple[Prospect, ...]:
    """The prospects as a rule of `pinnace.router.rate_table` sees them: no gate, the large model favoured.

    `plan_route` over them, at the rule's rate, puts the model first that the rule was calibrated to choose;
    a climb would be another rule than the one that was certified.

    :param margin: quality by which the large model is favoured; infinite where it always answers.
    """
    return tuple(
        Prospect(p.model, p.quality + (margin if p.model == large else 0.0), p.cost_usd) for p in prospects
    )


def plan_route(prospects: Sequence[Prospect], rate: float) -> Plan:
    """The best ladder over `prospects`, then the remaining models as fallbacks.

    Works from the dearest model down: in front of the best ladder so far, a cheaper model may be put
    (try it, climb below the bar), may replace it (never climb), or may be left out (go straight).
    """
    assert prospects, "a route needs a capable model"
    dearest_first = sorted(prospects, key=lambda p: (-p.cost_usd, bool(p.confidences), p.quality, p.model))
    ladder: _Ladder | None = None
    for prospect in dearest_first:
        ladder = _extend(ladder, prospect, rate)
    assert ladder is not None, "there was at least one prospect"
    chosen = {rung.model for rung in ladder.rungs}
    rest = [p for p in dearest_first if p.model not in chosen]
    rest.sort(key=lambda p: (rate * p.cost_usd - p.quality, p.cost_usd))
    fallbacks = tuple(Rung(p.model, is_fallback=True) for p in rest)
    strategy, why = _describe(ladder, dearest_first)
    return Plan(ladder.rungs + fallbacks, strategy, why)


def _extend(ladder: _Ladder | None, prospect: Prospect, rate: float) -> _Ladder:
    price = rate * prospect.cost_usd
    alone = _Ladder(prospect.quality - price, (Rung(prospect.model),), prospect.quality)
    if ladder is None:
        return alone
    above = min(max(ladder.value, 0.0), 1.0)
    is_as_good = ladder.top > prospect.quality - NEARLY
    is_held = bool(prospect.least_bar and prospect.confidences and is_as_good)
    bar = max(above, prospect.least_bar) if is_held else above
    options = [ladder] if is_held else [alone, ladder]
    if is_held or any(confidence < bar for confidence in prospect.confidences):
        hoped = sum(c if c >= bar else above for c in prospect.confidences) / len(prospect.confidences)
        options.append(_Ladder(hoped - price, (Rung(prospect.model, bar), *ladder.rungs), ladder.top))
    best = max(option.value for option in options)
    return next(option for option in options if option.value >= best - EPSILON)


def _describe(ladder: _Ladder, dearest_first: Sequence[Prospect]) -> tuple[str, str]:
    first = ladder.rungs[0]
    if len(dearest_first) == 1:
        return "single", f"{first.model} is the only model that can serve it"
    if first.bar is not None:
        nexts = ladder.rungs[1].model
        return "cascade", (
            f"{first.model} first; below a confidence of {first.bar:.2f}, {nexts} is worth its price"
        )
    cost = next(p.cost_usd for p in dearest_first if p.model == first.model)
    if cost == dearest_first[0].cost_usd == dearest_first[-1].cost_usd:
        return "single", f"{first.model} is expected to answer best of models that cost the same"
    if cost == dearest_first[-1].cost_usd:
        return "single", f"nothing dearer is worth its price here, so {first.model} answers and never climbs"
    return "direct", f"a cheaper model would nearly always be doubted here, so straight to {first.model}"
