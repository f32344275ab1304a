"""A route in words: what the request resembles, what to expect of each model, the decision. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pinnace.router.route import EscalationGain, ModelEstimate, Route, Rung

UNSURE_SD = 0.15
LIKE = ((0.9, "clearly"), (0.5, "somewhat"), (0.0, "faintly"))
STRANGE = 0.1


def explain(route: Route) -> str:
    """A few lines that need no knowledge of the code."""
    return "\n".join([*_resemblance(route), *_expectations(route), *_decision(route)])


def as_json(route: Route) -> Mapping[str, Any]:
    """The route as plain values."""
    return asdict(route)


def _resemblance(route: Route) -> list[str]:
    first = route.clusters[0]
    if route.familiarity <= STRANGE:
        return [
            "This is unlike the requests that were measured, so what the models do on average counts.",
            "",
        ]
    word = next(word for least, word in LIKE if route.familiarity >= least)
    lines = [f"This {word} resembles requests about: {first.label} ({first.weight:.0%})"]
    others = [f"{match.label} ({match.weight:.0%})" for match in route.clusters[1:] if match.weight >= 0.1]
    if others:
        lines.append(f"and also: {'; '.join(others)}")
    return [*lines, ""]


def _expectations(route: Route) -> list[str]:
    width = max(len(estimate.model) for estimate in route.estimates)
    expectations = [_expectation(estimate, width) for estimate in route.estimates]
    gains = [_gain(gain) for gain in route.gains]
    return ["What to expect on such requests:", *expectations, *gains, ""]


def _gain(gain: EscalationGain) -> str:
    """What climbing wins, as it was measured on such requests."""
    if gain.low <= -1 and gain.high >= 1:
        return f"  {gain.to} and {gain.model} were never measured together on such requests"
    points, low, high = (100 * value for value in (gain.gain, gain.low, gain.high))
    never = ", so climbing to it buys nothing" if gain.high <= 0 else ""
    return (
        f"  measured: {gain.to} {points:+.0f} points over {gain.model} "
        f"(95 % sure of {low:+.0f} to {high:+.0f}){never}"
    )


def _expectation(estimate: ModelEstimate, width: int) -> str:
    name = f"  {estimate.model:{width}}  "
    if estimate.struck_out is not None:
        return f"{name}cannot serve this one: {estimate.struck_out}"
    sure = "" if estimate.quality_sd < UNSURE_SD else ", little is known"
    price = f"about ${estimate.cost_usd * 1000:.4f} per 1,000"
    return f"{name}right {estimate.quality:4.0%} of the time{sure}, {price}"


def _decision(route: Route) -> list[str]:
    lines = [f"Decision ({route.strategy}): {route.why}."]
    rungs = [rung for rung in route.rungs if not rung.is_fallback]
    lines += [f"  {place}. {_step(rung, is_first=place == 1)}" for place, rung in enumerate(rungs, start=1)]
    fallbacks = ", ".join(rung.model for rung in route.rungs if rung.is_fallback)
    if fallbacks:
        lines.append(f"  Only if that fails: {fallbacks}")
    return lines


def _step(rung: Rung, *, is_first: bool) -> str:
    if rung.bar is not None:
        return f"ask {rung.model}; keep its answer if it is at least {rung.bar:.0%} likely to be right"
    return f"ask {rung.model}" if is_first else f"otherwise ask {rung.model}"
