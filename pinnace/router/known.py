"""What a state knows of a fleet: the column of each model, and what the model does on average.

A fleet member that the state has never seen is given the mean of those it has, and the log says so once.
"""

import logging
from collections.abc import Sequence

from pinnace.models.card import ModelCard
from pinnace.models.completion import Usage
from pinnace.router.state import RouterState

log = logging.getLogger(__name__)

TYPICAL = Usage(100, 100)
"""What models are ranked by price with."""


class Known:
    """The models of one state, looked up by card."""

    def __init__(self, state: RouterState) -> None:
        self._overall: list[list[float]] = state.overall.tolist()
        self._typical: list[float] = state.overall.mean(axis=0).tolist()
        self._columns = {model: column for column, model in enumerate(state.models)}
        self._missed: set[str] = set()

    def column(self, card: ModelCard) -> int | None:
        """The state's column of a model; None where it has none."""
        column = self._columns.get(card.estimates)
        if column is None and card.name not in self._missed:
            self._missed.add(card.name)
            log.warning("the router state knows nothing of %s: it is given the mean of the others", card.name)
        return column

    def overall(self, card: ModelCard) -> tuple[float, float]:
        """What to expect of a model on a request like none; the mean of all where it is unknown."""
        column = self.column(card)
        quality, tokens = self._typical if column is None else self._overall[column]
        return quality, tokens

    def large(self, cards: Sequence[ModelCard]) -> int:
        """Which of `cards` is the large model: the dearest; of equally dear ones the best, then the last."""
        return max(range(len(cards)), key=lambda i: (cards[i].cost(TYPICAL), self.overall(cards[i])[0], i))

    def gap(self, cards: Sequence[ModelCard]) -> float:
        """What the dearest of `cards` is worth on average: its quality minus that of the cheapest.

        Of equally dear or cheap ones the best counts. Where all cost the same: the best minus the worst,
        so that one draft more has a price too, in parts of what choosing well gains.
        """
        prices = [card.cost(TYPICAL) for card in cards]
        quality = [self.overall(card)[0] for card in cards]
        if min(prices) == max(prices):
            return max(quality) - min(quality)
        dearest, cheapest = (
            max(each for each, price in zip(quality, prices, strict=True) if price == end)
            for end in (max(prices), min(prices))
        )
        return dearest - cheapest
