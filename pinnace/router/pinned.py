"""Routes of requests that name a model of which nothing is known but averages: no embedding is needed.

Such a model's estimate is the mean of the others, whatever is asked, and no gate judges it: the route is the
same as by `Router.decide`, and only the clusters of the request are not looked up.
"""

import time
from collections.abc import Callable, Sequence

from pinnace.models.card import ModelCard
from pinnace.models.completion import Request, Usage
from pinnace.models.voted import drawn_samples
from pinnace.router.forecast import UNKNOWN_SD
from pinnace.router.known import Known
from pinnace.router.needs import prompt_tokens, why_struck_out
from pinnace.router.route import ModelEstimate, Route, Rung


def unread_route(
    name: str,
    request: Request,
    cards: Sequence[ModelCard],
    known: Known,
    is_judged: Callable[[ModelCard], bool],
) -> Route | None:
    """The route of a request that names a model; None where it must be read, or cannot be served.

    :param is_judged: whether a gate judges a model.
    """
    began = time.perf_counter()
    card = next((card for card in cards if card.name == name), None)
    if card is None or is_judged(card) or known.column(card) is not None or why_struck_out(card, request):
        return None
    quality, tokens = known.overall(card)
    written = min(tokens, request.max_tokens) * drawn_samples(card.votes, request)
    usd = card.cost(Usage(prompt_tokens(request), round(written)))
    return Route(
        (Rung(name),),
        "pinned",
        f"the request names {name}",
        familiarity=0.0,
        estimates=(ModelEstimate(name, quality, UNKNOWN_SD, usd),),
        decision_s=time.perf_counter() - began,
        began=began,
    )
