"""A request's own bar: from which confidence its answer is taken, in place of the bars of its route. Pure.

Knows a route and what it expects of the models; nothing of how the policy came to it, or of confidence.
"""

from collections.abc import Sequence
from dataclasses import replace

from pinnace.errors import RequestError
from pinnace.router.exploration import STRATEGY as EXPLORED
from pinnace.router.route import ModelEstimate, Route, Rung


def check_accept(accept: float) -> None:
    """Check that it is a confidence.

    :raises RequestError: where it is none.
    """
    if not 0 <= accept <= 1:
        message = f"accept: expected a confidence from 0 to 1, got {accept!r:.40}"
        raise RequestError(message, param="accept", code="invalid_value")


def accepting(route: Route, accept: float) -> Route:
    """`route` with `accept` as the bar of every rung that has one.

    Where one model was to answer whatever its confidence, the dearest capable one is put behind it, if that
    is dearer. A route that leaves no choice stays as it is.

    :param accept: the confidence from which an answer is taken.
    :raises RequestError: where it is not from 0 to 1.
    """
    check_accept(accept)
    first, *others = (rung for rung in route.rungs if not rung.is_fallback)
    if first.bar is not None:
        ladder = [replace(rung, bar=accept) if rung.bar is not None else rung for rung in (first, *others)]
    elif (large := _dearer(route.estimates, first.model)) is not None:
        ladder = [replace(first, bar=accept), Rung(large)]
    else:
        return route
    taken = {rung.model for rung in ladder}
    fallbacks = (rung for rung in route.rungs if rung.is_fallback and rung.model not in taken)
    strategy = route.strategy if route.strategy == EXPLORED else "cascade"
    why = f"{first.model} first; the request takes answers from a confidence of {accept:.2f} on"
    return replace(route, rungs=(*ladder, *fallbacks), strategy=strategy, why=why)


def _dearer(estimates: Sequence[ModelEstimate], model: str) -> str | None:
    """The dearest model that can serve the request, where it is dearer than `model`; of equals the best."""
    capable = [each for each in estimates if each.struck_out is None]
    own = next((each.cost_usd for each in capable if each.model == model), None)
    dearest = max(capable, key=lambda each: (each.cost_usd, each.quality), default=None)
    if own is None or dearest is None or dearest.cost_usd <= own:
        return None
    return dearest.model
