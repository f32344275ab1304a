"""`budget`: USD per 1,000 requests, held on average at the best quality that it buys.

The exchange rate is the price of a dollar (Lagrange): the smallest rate that costs no more than the budget
is the best that it buys. Between two rates the cost jumps, so the two are mixed by a hash of the request,
the same for the same request. While serving, `BudgetKeeper` moves the rate by what was in fact spent: dual
ascent in the logarithm of the rate (an exponentiated gradient).

Rates only: a margin for the large model buys nothing that is expected. Knows no clock and no ledger: it
is told what every request cost.
"""

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from pinnace.router.rate_table import RateTable

STEP = 0.02
"""How much the logarithm of the rate moves when a request costs one request's budget too much. Over 5,000
requests of RouteLLM's table, prices tripling half-way, 0.02 keeps within 1 %, 0.005 within 3.4 %; 0.2 costs
about half a point of quality, as the rate then follows single requests."""
LARGEST_MOVE = 0.5
"""How much it moves at most when a request costs what the large model's usually do."""
HEADROOM = 10.0
"""The rate may leave the range of the calibration rows by this factor: prices and requests drift."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Rates that meet a budget on the calibration rows: `share` of the requests take `dear_rate` (the lower
    one, in quality per USD), the others `cheap_rate`.

    `lowest` and `highest` are the rates between which a keeper may move; `large_usd` is what a request
    costs where the large model always answers. `usd_per_1k` was asked for, `expected_usd_per_1k` is what
    the rates cost on the calibration rows.
    """

    dear_rate: float
    cheap_rate: float
    share: float
    lowest: float
    highest: float
    large_usd: float
    usd_per_1k: float
    expected_usd_per_1k: float
    why: str

    @property
    def is_met(self) -> bool:
        """Whether the rates keep to the budget on the calibration rows."""
        return self.expected_usd_per_1k <= self.usd_per_1k * (1 + 1e-9)

    @property
    def usd(self) -> float:
        """The budget of one request, USD."""
        return self.usd_per_1k / 1000

    def rate(self, request: str) -> float:
        """The rate of one request, by a hash of its text or id."""
        return self.dear_rate if _chance(request) < self.share else self.cheap_rate


def budget_rates(table: RateTable, usd_per_1k: float) -> Budget:
    """The rates that spend at most `usd_per_1k` USD per 1,000 requests on the calibration rows.

    Where even the cheapest rule costs more, that one is taken, and `why` says so.

    :raises ValueError: when the budget is not a positive number.
    """
    if not 0 < usd_per_1k < math.inf:
        raise ValueError(f"usd_per_1k: expected a positive number, got {usd_per_1k!r}")
    without_margin = table.figures[:, 1] == 0
    rates, costs = table.figures[without_margin, 0], 1000 * table.usd[without_margin]
    within = np.flatnonzero(costs <= usd_per_1k)
    first = int(within[0]) if len(within) else int(np.argmin(costs))
    before, share = first, 0.0
    if not len(within):
        why = f"even the cheapest rule costs {costs[first]:.4g} USD per 1,000 requests"
    elif first == 0:
        why = f"the best expected quality costs {costs[0]:.4g} USD per 1,000 requests, within the budget"
    else:
        before = first - 1
        share = float((usd_per_1k - costs[first]) / (costs[before] - costs[first]))
        why = f"{share:.0%} of requests at {costs[before]:.4g} USD per 1,000, the rest at {costs[first]:.4g}"
    positive = rates[rates > 0]
    return Budget(
        dear_rate=float(rates[before]),
        cheap_rate=float(rates[first]),
        share=share,
        lowest=float(positive.min()) / HEADROOM if len(positive) else 1.0,
        highest=float(positive.max()) * HEADROOM if len(positive) else 1.0,
        large_usd=float(table.usd[0]),
        usd_per_1k=usd_per_1k,
        expected_usd_per_1k=float(share * costs[before] + (1 - share) * costs[first]),
        why=why,
    )


class BudgetKeeper:
    """Holds the running average at the budget while requests and prices drift.

    What was overspent so far is what moves the rate, so it is paid back. It cannot grow past
    `most_over_usd`. What the best quality leaves of the budget is not saved for later.

    :param step: how much the logarithm of the rate moves per request's budget overspent; by default
        `STEP`, or less where one request to the large model would move it by more than `LARGEST_MOVE`.
    """

    def __init__(self, budget: Budget, *, step: float | None = None) -> None:
        if step is not None and not 0 < step <= 1:
            raise ValueError(f"step: expected more than 0 and at most 1, got {step!r}")
        self.budget = budget
        self.requests = 0
        self.spent_usd = 0.0
        self._step = step or min(STEP, LARGEST_MOVE * budget.usd / max(budget.large_usd, budget.usd))
        self._owed_usd = 0.0

    def rate(self, request: str) -> float:
        """The rate of the next request, from a hash of its text or id and from what was spent so far."""
        shift = self._step * self._owed_usd / self.budget.usd
        if shift >= self._most_shift():
            return self.budget.highest
        return self._bounded(self._bounded(self.budget.rate(request)) * math.exp(shift))

    def spend(self, usd: float) -> None:
        """Tell what a request cost, whatever it was spent on.

        :raises ValueError: when it is negative or not finite.
        """
        if not 0 <= usd < math.inf:
            raise ValueError(f"usd: expected a cost of at least 0, got {usd!r}")
        self.requests += 1
        self.spent_usd += usd
        saved_at_most = self._least_shift() * self.budget.usd / self._step
        self._owed_usd = max(self._owed_usd + usd - self.budget.usd, saved_at_most)

    @property
    def over_usd(self) -> float:
        """USD spent above the budget of the requests so far; negative where some of it is left."""
        return self.spent_usd - self.requests * self.budget.usd

    def most_over_usd(self, dearest_usd: float) -> float:
        """What `over_usd` never exceeds while no request costs more than `dearest_usd`, and none that is
        served at the highest rate more than its budget.
        """
        return self._most_shift() * self.budget.usd / self._step + dearest_usd

    def _bounded(self, rate: float) -> float:
        return min(max(rate, self.budget.lowest), self.budget.highest)

    def _most_shift(self) -> float:
        """The shift at which every request is served at the highest rate."""
        return math.log(self.budget.highest / self._bounded(self.budget.dear_rate))

    def _least_shift(self) -> float:
        """The shift at which every request is served at the lowest rate."""
        return math.log(self.budget.lowest / self._bounded(self.budget.cheap_rate))


def _chance(request: str) -> float:
    """A number in 0..1 that looks random and is the same for the same request."""
    digest = blake2b(request.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
