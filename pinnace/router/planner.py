"""Planners: one per policy, from a fleet and requests to the terms that routes are planned on.

A `tradeoff` has an exchange rate per request. A `quality_floor` has one certified rule, and a `budget` one
range of rates: both are picked from the state's calibration rows when the fleet is known, at start-up, and
again where it changes. Knows no request but its text, and no answer but its cost.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pinnace.config import AnyPolicy, BudgetPolicy, FloorPolicy, Policy
from pinnace.models.card import ModelCard
from pinnace.router.budget import BudgetKeeper, budget_rates
from pinnace.router.floor import Floor, FloorRefused, quality_floor
from pinnace.router.known import Known
from pinnace.router.policy import exchange_rate
from pinnace.router.rate_table import RateTable
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray

log = logging.getLogger(__name__)

CHEAPEST = 1e12
"""A rate, quality per USD, at which the cheapest model always answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """`rates` (n,) of n requests, in quality per USD. `margin` is by how much the large model is favoured,
    None where routes are planned with the gate; `why` is what to say of it, if anything.
    """

    rates: FloatArray
    margin: float | None = None
    why: str = ""


class Planner(Protocol):
    """One policy at work."""

    @property
    def is_calibrated(self) -> bool:
        """Whether estimates must be those of the calibration: by the heads of each request's fold."""
        ...

    def is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        """Whether what is picked for a fleet is picked already."""
        ...

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Pick what is picked for a fleet: up to some seconds of work, so not on an event loop."""
        ...

    def terms(self, cards: Sequence[ModelCard], texts: Sequence[str], dearest_usd: FloatArray) -> Terms:
        """The terms of n requests, of which the dearest capable model costs `dearest_usd` (n,)."""
        ...

    def spend(self, usd: float) -> None:
        """Tell what a routed request cost."""
        ...


def make_planner(policy: AnyPolicy, state: RouterState, known: Known, explored: float = 0.0) -> Planner:
    """The planner of a policy.

    :param explored: the largest share of requests that are not served by its terms, 0..1.
    """
    tables = _Tables(state, known)
    if isinstance(policy, FloorPolicy):
        return FloorPlanner(policy, tables, explored)
    if isinstance(policy, BudgetPolicy):
        return BudgetPlanner(policy, tables)
    return TradeoffPlanner(policy, known)


class TradeoffPlanner:
    """`tradeoff`: a fixed dial, lambda relative to what the dearest model costs on the request."""

    is_calibrated = False

    def __init__(self, policy: Policy, known: Known) -> None:
        self._policy = policy
        self._known = known

    def is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        """There is nothing to pick."""
        return True

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Nothing to pick."""

    def terms(self, cards: Sequence[ModelCard], texts: Sequence[str], dearest_usd: FloatArray) -> Terms:
        """See `exchange_rate`."""
        gap, alpha = self._known.gap(cards), self._policy.alpha
        return Terms(np.array([exchange_rate(alpha, gap, usd) for usd in dearest_usd.tolist()]))

    def spend(self, usd: float) -> None:
        """Nothing to hold."""


class FloorPlanner:
    """`quality_floor`: the certified rule, or always the large model where none can be certified.

    Explored requests are answered by the large model, and which those are has nothing to do with what they
    ask: none of them lacks quality, so that the rule need keep its promise over the others alone. They are
    fewer, so the rule is certified for that many.
    """

    is_calibrated = True

    def __init__(self, policy: FloorPolicy, tables: "_Tables", explored: float = 0.0) -> None:
        self._policy = policy
        self._tables = tables
        self._explored = explored
        self._picked: dict[FleetKey, Terms] = {}

    def is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        """Whether there is a rule for the fleet."""
        return key_of(cards) in self._picked

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Certify a rule for the fleet; the log says which, and warns where there is none."""
        if key_of(cards) not in self._picked:
            self._picked[key_of(cards)] = self._pick(cards)

    def terms(self, cards: Sequence[ModelCard], texts: Sequence[str], dearest_usd: FloatArray) -> Terms:
        """The fleet's rule, for every request."""
        self.prepare(cards)
        picked = self._picked[key_of(cards)]
        return Terms(np.repeat(picked.rates, len(texts)), picked.margin, picked.why)

    def spend(self, usd: float) -> None:
        """Nothing to hold."""

    def _pick(self, cards: Sequence[ModelCard]) -> Terms:
        if len(cards) == 1:
            return Terms(np.zeros(1))
        policy, table = self._policy, self._tables.table(cards)
        if table is None:
            large = self._tables.large(cards).name
            found = FloorRefused(f"no calibration row has {large} and another of the fleet", 0, None)
        else:
            found = self._certified(table)
        if isinstance(found, FloorRefused):
            log.warning("quality_floor is refused, the large model always answers: %s", found.why)
        else:
            log.info("quality_floor: %s", found.why)
        why = f"to keep {policy.keep:.1%} of the large model's quality: {found.why}"
        return Terms(np.array([found.rule.rate]), found.rule.margin, why)

    def _certified(self, table: RateTable) -> Floor | FloorRefused:
        """The rule that holds over as many requests as are not explored; why not, in terms of all of them."""
        keep, confidence, promised = self._policy.keep, self._policy.confidence, self._policy.horizon
        plain = quality_floor(table, keep, confidence, promised)
        if self._explored == 0 or isinstance(plain, FloorRefused):
            return plain
        fewer = max(1, math.floor((promised or table.rows) * (1 - self._explored)))
        return quality_floor(table, keep, confidence, fewer)


class BudgetPlanner:
    """`budget`: rates that spend it, moved by what was in fact spent."""

    is_calibrated = True

    def __init__(self, policy: BudgetPolicy, tables: "_Tables") -> None:
        self._policy = policy
        self._tables = tables
        self._keepers: dict[FleetKey, BudgetKeeper | None] = {}
        self._latest: BudgetKeeper | None = None

    def is_prepared(self, cards: Sequence[ModelCard]) -> bool:
        """Whether there are rates for the fleet."""
        return key_of(cards) in self._keepers

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Pick the rates for the fleet; the log says what they are expected to spend."""
        key = key_of(cards)
        if key not in self._keepers:
            self._keepers[key] = self._pick(cards)
        self._latest = self._keepers[key]

    def terms(self, cards: Sequence[ModelCard], texts: Sequence[str], dearest_usd: FloatArray) -> Terms:
        """Each request's rate, by a hash of its text and what was spent so far."""
        self.prepare(cards)
        keeper = self._latest
        if keeper is None:
            why = "no calibration row tells what a budget buys, so the cheapest model answers"
            return Terms(np.full(len(texts), CHEAPEST if len(cards) > 1 else 0.0), why=why)
        why = f"within {self._policy.usd_per_1k:.4g} USD per 1,000 requests: {keeper.budget.why}"
        return Terms(np.array([keeper.rate(text) for text in texts]), why=why)

    def spend(self, usd: float) -> None:
        """Move the rate of the fleet that serves."""
        if self._latest is not None:
            self._latest.spend(usd)

    def _pick(self, cards: Sequence[ModelCard]) -> BudgetKeeper | None:
        table = self._tables.table(cards)
        if table is None:
            log.warning("budget: no calibration row has all of the fleet, so the cheapest model answers")
            return None
        budget = budget_rates(table, self._policy.usd_per_1k)
        (log.info if budget.is_met else log.warning)("budget: %s", budget.why)
        return BudgetKeeper(budget)


FleetKey = tuple[tuple[str, float, float], ...]


class _Tables:
    """Tables of rules for fleets, from one state's calibration rows."""

    def __init__(self, state: RouterState, known: Known) -> None:
        self._rows = state.calibration
        self._known = known

    def large(self, cards: Sequence[ModelCard]) -> ModelCard:
        """The large model among `cards`."""
        return cards[self._known.large(cards)]

    def table(self, cards: Sequence[ModelCard]) -> RateTable | None:
        """The table over those of `cards` that the state knows; None without the large model or rows."""
        columns = [self._known.column(card) for card in cards]
        kept = [(card, column) for card, column in zip(cards, columns, strict=True) if column is not None]
        large = self._known.large(cards)
        if columns[large] is None:
            return None
        names = [card.name for card, _ in kept]
        return self._rows.rate_table(
            [card for card, _ in kept], [column for _, column in kept], names.index(cards[large].name)
        )


def key_of(cards: Sequence[ModelCard]) -> FleetKey:
    """What of a fleet a table of rules depends on."""
    return tuple((card.estimates, card.input_price, card.output_price) for card in cards)
