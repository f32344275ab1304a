"""Micro-batching: requests that were embedded together are forecast together, on the event loop.

One forecast of thirty requests costs little more than one of one. A lone request never lingers: it is
forecast in the loop's next turn.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.router.forecast import Forecast
from pinnace.router.types import FloatArray

MOST = 16
"""Requests in one turn of the loop: their n-grams take it some 3 ms."""
Found = tuple[FloatArray, Forecast]
"""Features (n, d) and forecasts of n requests."""
Make = Callable[[Sequence[Request], FloatArray, Sequence[ModelCard]], Found]
"""Both, of n requests and their embeddings (n, dim), over the models of the cards."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    request: Request
    vector: FloatArray
    cards: Sequence[ModelCard]
    found: "asyncio.Future[Found]"

    def is_beside(self, other: "_Waiting") -> bool:
        """Whether both are to be forecast over the same models."""
        mine, theirs = self.cards, other.cards
        return len(mine) == len(theirs) and all(a is b for a, b in zip(mine, theirs, strict=True))


class ForecastQueue:
    """Gathers what is asked in one turn of the loop, and has `make` forecast it."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._waiting: list[_Waiting] = []

    async def forecast(self, vector: FloatArray, request: Request, cards: Sequence[ModelCard]) -> Found:
        """The features (1, d) and the forecast of one request that is embedded: `vector` is (dim,)."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, vector, cards, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_soon(self._work)
        return await waiting.found

    def _work(self) -> None:
        """Forecast the first that wait, over the models of the very first; what is left has the next turn."""
        first = self._waiting[0]
        lot = [each for each in self._waiting if each.is_beside(first)][:MOST]
        self._waiting = [each for each in self._waiting if each not in lot]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work)
        asked = [each for each in lot if not each.found.done()]
        if asked:
            self._settle(asked, first.cards)

    def _settle(self, asked: Sequence[_Waiting], cards: Sequence[ModelCard]) -> None:
        try:
            vectors = np.stack([each.vector for each in asked])
            features, found = self._make([each.request for each in asked], vectors, cards)
        except Exception as error:  # whatever it is belongs to the requests that wait, not to the loop
            for each in asked:
                each.found.set_exception(error)
            return
        for row, each in enumerate(asked):
            each.found.set_result((features[row : row + 1], found.of_row(row)))
