"""`GET /v1/models` and `GET /v1/models/{id}`: what a request may name as its model.

Knows what the fleet and the embedding models are called, and of the fleet what its tokens take.
"""

import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pinnace.errors import UnknownModelError
from pinnace.models.card import ModelCard
from pinnace.router.dispatch import AUTO, Dispatcher
from pinnace.server.exchange import exchange_of


class ModelList:
    """`auto`, every fleet member that serves, and the embedding models."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._started = int(time.time())

    async def all(self, request: Request) -> Response:
        """The list."""
        return JSONResponse({"object": "list", "data": [self._model(name) for name in self._names(request)]})

    async def one(self, request: Request) -> Response:
        """One of them.

        :raises UnknownModelError: where there is none of that name now.
        """
        name, names = str(request.path_params["model"]), self._names(request)
        if name not in names:
            known = ", ".join(names) or "none yet"
            raise UnknownModelError(f"there is no model {name[:256]!r} here; there are: {known}")
        return JSONResponse(self._model(name))

    def _names(self, request: Request) -> list[str]:
        """Those that the caller may use."""
        cards = self._dispatcher.fleet.cards()
        names = [AUTO, *(card.name for card in cards)] if cards else []
        found, caller = [*names, *self._dispatcher.embedders.names()], exchange_of(request.scope).caller
        return found if caller is None else [name for name in found if caller.may_use(name)]

    def _model(self, name: str) -> Mapping[str, object]:
        model = {"id": name, "object": "model", "created": self._started, "owned_by": "pinnace"}
        card = next((card for card in self._dispatcher.fleet.cards() if card.name == name), None)
        return model if card is None else {**model, "pinnace": figures_of(card)}


def figures_of(card: ModelCard) -> Mapping[str, object]:
    """What tokens of a member take: USD per million, and joules per thousand where figures are known.

    And how many samples it draws for an answer that is held to a form, where it votes.
    """
    found: dict[str, object] = {"price": {"input": card.input_price, "output": card.output_price}}
    energy = card.energy
    if energy is not None and energy.input is not None and energy.output is not None:
        found["energy"] = {"input": energy.input, "output": energy.output}
    return found | ({"votes": card.votes} if card.votes > 1 else {})
