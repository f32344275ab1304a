"""The budget: met on average by the mix of two rates, and held while requests and prices drift."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from router_worlds import LARGE, World, make_world

from pinnace.router.budget import BudgetKeeper, budget_rates
from pinnace.router.rate_table import Rule, choose

TABLE = make_world(1_000, 0).table()
BY_RATE = 1000 * TABLE.usd[TABLE.figures[:, 1] == 0]
N = 12_000
STREAM = make_world(N, 7)
within_reach = st.floats(float(BY_RATE.min()) * 1.01, float(BY_RATE.max()) * 0.99)


@given(within_reach)
def test_the_mix_of_two_rates_costs_the_budget(usd_per_1k: float) -> None:
    budget = budget_rates(TABLE, usd_per_1k)
    assert budget.is_met
    assert budget.expected_usd_per_1k == pytest.approx(usd_per_1k)
    assert 0 <= budget.share <= 1
    assert budget.dear_rate <= budget.cheap_rate


@given(within_reach, st.floats(1.01, 2))
def test_a_larger_budget_never_has_a_higher_rate(usd_per_1k: float, more: float) -> None:
    assert budget_rates(TABLE, usd_per_1k * more).cheap_rate <= budget_rates(TABLE, usd_per_1k).cheap_rate


def test_more_than_the_best_quality_costs_is_not_spent() -> None:
    budget = budget_rates(TABLE, 1e6)
    assert (budget.dear_rate, budget.cheap_rate, budget.share) == (0.0, 0.0, 0.0)
    assert budget.expected_usd_per_1k == BY_RATE[0]
    assert budget.why.startswith("the best expected quality costs")


def test_a_budget_below_the_cheapest_rule_is_told_and_served_by_it() -> None:
    budget = budget_rates(TABLE, 1e-6)
    assert not budget.is_met
    assert budget.why == f"even the cheapest rule costs {BY_RATE.min():.4g} USD per 1,000 requests"
    assert budget.rate("x") == TABLE.figures[TABLE.figures[:, 1] == 0, 0][int(np.argmin(BY_RATE))]


def test_requests_are_shared_between_the_rates_by_what_they_say_and_always_alike() -> None:
    budget = next(b for b in (budget_rates(TABLE, usd) for usd in np.linspace(0.5, 2, 40)) if b.share > 0.3)
    rates = [budget.rate(f"request {i}") for i in range(4_000)]
    assert rates == [budget.rate(f"request {i}") for i in range(4_000)]
    assert rates.count(budget.dear_rate) / 4_000 == pytest.approx(budget.share, abs=0.03)


def spend_all(keeper: BudgetKeeper, stream: World, price: Callable[[int], float]) -> list[float]:
    """Serve a stream at what the keeper says, at prices that drift; USD over the budget at each request."""
    over: list[float] = []
    for i in range(len(stream.usd)):
        usd = stream.usd[i : i + 1] * price(i)
        (chosen,) = choose(stream.quality[i : i + 1], usd, LARGE, Rule(keeper.rate(str(i)), 0.0))
        keeper.spend(float(usd[0, chosen]))
        over.append(keeper.over_usd)
    return over


DRIFTS: dict[str, Callable[[int], float]] = {
    "none": lambda i: 1.0,
    "three times dearer at half time": lambda i: 1.0 if i < N // 2 else 3.0,
    "slowly three times dearer": lambda i: 3.0 ** (i / N),
    "slowly half as dear": lambda i: 0.5 ** (i / N),
    "up and down": lambda i: 2.0 ** math.sin(6 * math.pi * i / N),
}


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("usd_per_1k", [0.8, 1.5])
def test_the_average_is_held_under_drift_and_never_exceeds_what_was_stated(
    drift: str, usd_per_1k: float
) -> None:
    keeper = BudgetKeeper(budget_rates(TABLE, usd_per_1k))
    over = spend_all(keeper, STREAM, DRIFTS[drift])
    assert keeper.requests == N
    assert 1000 * keeper.spent_usd / N == pytest.approx(usd_per_1k, rel=0.02)
    assert max(over) <= keeper.most_over_usd(float(STREAM.usd.max()) * 3)


@pytest.mark.parametrize("drift", [name for name in DRIFTS if name != "none"])
def test_a_rate_that_does_not_move_breaks_the_budget_under_the_same_drift(drift: str) -> None:
    still = BudgetKeeper(budget_rates(TABLE, 1.5), step=1e-12)
    spend_all(still, STREAM, DRIFTS[drift])
    assert abs(1000 * still.spent_usd / N - 1.5) > 1.5 * 0.05


@given(st.lists(st.floats(0, 0.02), max_size=200), within_reach, st.floats(0.01, 1))
@settings(max_examples=50)
def test_the_rate_is_bounded_and_the_same_for_the_same_past(
    costs: list[float], usd_per_1k: float, step: float
) -> None:
    budget = budget_rates(TABLE, usd_per_1k)
    keeper, again = BudgetKeeper(budget, step=step), BudgetKeeper(budget, step=step)
    for i, usd in enumerate(costs):
        assert budget.lowest <= keeper.rate(str(i)) <= budget.highest
        keeper.spend(usd)
        again.spend(usd)
    assert keeper.rate("next") == again.rate("next")
    assert keeper.spent_usd == pytest.approx(sum(costs))


@given(st.lists(st.floats(0.0001, 0.02), min_size=1, max_size=400), st.floats(0.02, 1))
@settings(max_examples=50)
def test_no_costs_that_the_rate_can_stop_exceed_the_stated_amount(costs: list[float], step: float) -> None:
    budget = budget_rates(TABLE, 1.0)
    keeper = BudgetKeeper(budget, step=step)
    for i, usd in enumerate(costs):
        keeper.spend(min(usd, budget.usd) if keeper.rate(str(i)) >= budget.highest else usd)
        assert keeper.over_usd <= keeper.most_over_usd(0.02) * (1 + 1e-9)


def test_what_is_overspent_raises_the_rate_and_what_is_left_lowers_it() -> None:
    keeper = BudgetKeeper(budget_rates(TABLE, 1.0))
    planned = keeper.rate("x")
    keeper.spend(0.01)
    assert keeper.rate("x") > planned
    for _ in range(40):
        keeper.spend(0.0)
    assert keeper.rate("x") < planned


def test_a_quiet_night_is_not_made_up_for_in_the_morning() -> None:
    keeper = BudgetKeeper(budget_rates(TABLE, 1.0))
    for _ in range(100_000):
        keeper.spend(0.0)
    for _ in range(2_000):
        keeper.spend(0.01)
    assert keeper.over_usd < 0
    assert keeper.rate("x") == keeper.budget.highest


@pytest.mark.parametrize("usd_per_1k", [0, -1, math.inf, math.nan])
def test_a_budget_is_a_positive_number(usd_per_1k: float) -> None:
    with pytest.raises(ValueError, match="usd_per_1k: expected a positive number, got"):
        budget_rates(TABLE, usd_per_1k)


@pytest.mark.parametrize("usd", [-1e-9, math.inf, math.nan])
def test_a_cost_is_at_least_nothing(usd: float) -> None:
    with pytest.raises(ValueError, match="usd: expected a cost of at least 0, got"):
        BudgetKeeper(budget_rates(TABLE, 1.0)).spend(usd)


@pytest.mark.parametrize("step", [0, -0.1, 1.1, math.nan])
def test_a_step_is_a_small_positive_number(step: float) -> None:
    with pytest.raises(ValueError, match="step: expected more than 0 and at most 1, got"):
        BudgetKeeper(budget_rates(TABLE, 1.0), step=step)
