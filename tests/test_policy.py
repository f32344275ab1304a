"""The policy: what it chooses is the best that there is, and changes with its one dial as promised."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.policy import (
    EPSILON,
    Plan,
    Prospect,
    certified_prospects,
    exchange_rate,
    plan_route,
)
from pinnace.router.rate_table import Rule, choose
from pinnace.router.route import Rung

chances = st.floats(0, 1)
costs = st.floats(1e-9, 0.01) | st.sampled_from([0.0, 0.001])
rates = st.sampled_from([0.0]) | st.floats(1e-3, 1e6)


@st.composite
def prospects_of(draw: st.DrawFn, *, judged: bool = True) -> list[Prospect]:
    """One to five models with different names; some judged by a calibrated gate, some not."""
    spreads = st.lists(chances, max_size=5).map(tuple) if judged else st.just(())
    found: list[Prospect] = []
    for i in range(draw(st.integers(1, 5))):
        spread = draw(spreads)
        quality = sum(spread) / len(spread) if spread else draw(chances)
        found.append(Prospect(f"m{i}", quality, draw(costs), spread))
    return found


def ladder_of(plan: Plan) -> tuple[Rung, ...]:
    return tuple(rung for rung in plan.rungs if not rung.is_fallback)


def value(rungs: tuple[Rung, ...], by_name: dict[str, Prospect], rate: float) -> float:
    """What a ladder is worth: by the definition, not as the policy computes it."""
    first, prospect = rungs[0], by_name[rungs[0].model]
    if first.bar is None:
        return prospect.quality - rate * prospect.cost_usd
    climbing = value(rungs[1:], by_name, rate)
    outcomes = [c if c >= first.bar else climbing for c in prospect.confidences]
    return sum(outcomes) / len(outcomes) - rate * prospect.cost_usd


def best_value(cheapest_first: list[Prospect], rate: float) -> float:
    """The best value over all ladders that go up in this order, by trying all of them."""
    found = [p.quality - rate * p.cost_usd for p in cheapest_first]
    for i, prospect in enumerate(cheapest_first):
        if prospect.confidences and cheapest_first[i + 1 :]:
            climbing = best_value(cheapest_first[i + 1 :], rate)
            if climbing > min(prospect.confidences):
                hoped = sum(max(c, climbing) for c in prospect.confidences) / len(prospect.confidences)
                found.append(hoped - rate * prospect.cost_usd)
    return max(found)


def expected_usd(rungs: tuple[Rung, ...], by_name: dict[str, Prospect]) -> float:
    """What a ladder costs on average: each rung, as often as it is reached."""
    prospect = by_name[rungs[0].model]
    if rungs[0].bar is None:
        return prospect.cost_usd
    climbs = sum(c < rungs[0].bar for c in prospect.confidences) / len(prospect.confidences)
    return prospect.cost_usd + climbs * expected_usd(rungs[1:], by_name)


@given(prospects_of(), rates)
def test_every_model_is_in_the_route_exactly_once(prospects: list[Prospect], rate: float) -> None:
    plan = plan_route(prospects, rate)
    assert sorted(rung.model for rung in plan.rungs) == sorted(p.model for p in prospects)
    assert plan.rungs
    assert plan.why


@given(prospects_of(), rates)
def test_a_ladder_has_bars_up_to_its_last_rung_and_fallbacks_come_after_it(
    prospects: list[Prospect], rate: float
) -> None:
    plan = plan_route(prospects, rate)
    ladder = ladder_of(plan)
    assert plan.rungs[: len(ladder)] == ladder
    assert [rung.bar is None for rung in ladder] == [False] * (len(ladder) - 1) + [True]
    assert all(rung.bar is None for rung in plan.rungs[len(ladder) :])
    assert all(0 <= rung.bar <= 1 for rung in ladder if rung.bar is not None)


@given(prospects_of(), rates)
def test_no_ladder_is_worth_more_and_no_single_model(prospects: list[Prospect], rate: float) -> None:
    by_name = {p.model: p for p in prospects}
    chosen = value(ladder_of(plan_route(prospects, rate)), by_name, rate)
    ranked = sorted(prospects, key=lambda p: p.model, reverse=True)
    cheapest_first = sorted(ranked, key=lambda p: (p.cost_usd, not p.confidences, -p.quality))
    assert chosen >= max(p.quality - rate * p.cost_usd for p in prospects) - 1e-6
    assert chosen >= best_value(cheapest_first, rate) - 1e-6


@given(prospects_of(), rates, st.randoms(use_true_random=False))
def test_the_order_of_the_fleet_does_not_matter(
    prospects: list[Prospect], rate: float, chance: object
) -> None:
    shuffled = list(prospects)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_route(shuffled, rate) == plan_route(prospects, rate)


@given(prospects_of(), rates, st.integers(-20, 20))
def test_the_unit_of_cost_does_not_matter(prospects: list[Prospect], rate: float, power: int) -> None:
    scale = 2.0**power
    rescaled = [Prospect(p.model, p.quality, p.cost_usd * scale, p.confidences) for p in prospects]
    assert plan_route(rescaled, rate / scale) == plan_route(prospects, rate)


@given(prospects_of(), st.floats(0, 1e4), st.floats(1, 1e4))
def test_a_dearer_dollar_never_makes_a_dearer_route(
    prospects: list[Prospect], rate: float, more: float
) -> None:
    by_name = {p.model: p for p in prospects}
    before = expected_usd(ladder_of(plan_route(prospects, rate)), by_name)
    after = expected_usd(ladder_of(plan_route(prospects, rate + more)), by_name)
    assert after <= before + 10 * EPSILON / more


@given(prospects_of(judged=False))
def test_where_cost_counts_for_nothing_the_best_answers(prospects: list[Prospect]) -> None:
    (first, *_) = plan_route(prospects, 0.0).rungs
    quality = {p.model: p.quality for p in prospects}
    assert quality[first.model] == pytest.approx(max(quality.values()), abs=1e-6)


@given(prospects_of(), st.floats(0.01, 1))
def test_where_cost_is_everything_the_cheapest_answers(prospects: list[Prospect], gap: float) -> None:
    dearest = max(p.cost_usd for p in prospects)
    rate = exchange_rate(1e-12, gap, dearest)
    (first, *_) = plan_route(prospects, rate).rungs
    cost = {p.model: p.cost_usd for p in prospects}
    assert cost[first.model] <= min(cost.values()) + 1e-6 * dearest


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.5), st.floats(0, 1), st.floats(1e-6, 1))
def test_more_alpha_is_a_smaller_lambda(alpha: float, more: float, gap: float, usd: float) -> None:
    assert exchange_rate(min(alpha + more, 1.0), gap, usd) <= exchange_rate(alpha, gap, usd)


@given(st.floats(0.01, 1), st.floats(1e-6, 1), st.floats(1e-6, 1), st.integers(-10, 10))
def test_lambda_follows_the_unit_of_cost(alpha: float, gap: float, usd: float, power: int) -> None:
    assert exchange_rate(alpha, gap, usd * 2.0**power) == exchange_rate(alpha, gap, usd) / 2.0**power


def test_lambda_is_what_the_dearest_buys_on_average_at_one_half() -> None:
    assert exchange_rate(0.5, 0.4, 0.002) == pytest.approx(200)
    assert exchange_rate(0.75, 0.4, 0.002) == pytest.approx(200 / 3)
    assert exchange_rate(1.0, 0.4, 0.002) == 0


@pytest.mark.parametrize(("gap", "usd"), [(-0.1, 0.002), (0.4, 0.0)])
def test_lambda_is_zero_where_the_dearest_buys_nothing_or_costs_nothing(gap: float, usd: float) -> None:
    assert exchange_rate(0.5, gap, usd) == 0


SMALL = Prospect("small", 0.5, 0.0001, (0.1, 0.5, 0.9))
LARGE = Prospect("large", 0.9, 0.01)


def test_a_cascade_climbs_below_what_the_next_rung_is_worth() -> None:
    plan = plan_route([LARGE, SMALL], rate=20)
    assert plan.strategy == "cascade"
    assert plan.rungs == (Rung("small", pytest.approx(0.9 - 20 * 0.01)), Rung("large"))
    assert plan.why.startswith("small first; below a confidence of 0.70, large is worth its price")


def test_a_rung_that_would_always_be_doubted_is_left_out_and_kept_as_a_fallback() -> None:
    plan = plan_route([Prospect("small", 0.1, 0.0001, (0.1, 0.1)), LARGE], rate=1)
    assert plan.strategy == "direct"
    assert plan.rungs == (Rung("large"), Rung("small", is_fallback=True))


def test_a_model_that_nothing_dearer_beats_never_climbs() -> None:
    plan = plan_route([Prospect("small", 0.9, 0.0001, (0.85, 0.95)), LARGE], rate=20)
    assert plan.strategy == "single"
    assert plan.rungs == (Rung("small"), Rung("large", is_fallback=True))


def test_without_a_gate_a_model_is_never_a_rung_to_climb_from() -> None:
    plan = plan_route([Prospect("small", 0.5, 0.0001), LARGE], rate=20)
    assert plan.rungs == (Rung("large"), Rung("small", is_fallback=True))


def test_below_its_least_bar_no_answer_stands_where_a_dearer_model_can_answer() -> None:
    sure = Prospect("small", 0.9, 0.0001, (0.85, 0.95), least_bar=0.9)
    plan = plan_route([sure, LARGE], rate=20)
    assert plan.rungs == (Rung("small", 0.9), Rung("large"))
    assert plan_route([replace(sure, least_bar=0.5), LARGE], rate=20).rungs[0] == Rung("small", 0.7)
    assert plan_route([replace(sure, least_bar=0.96), LARGE], rate=20).rungs[0] == Rung("large")
    assert plan_route([sure], rate=20).rungs == (Rung("small"),)
    worse = Prospect("dear", 0.02, 0.01)
    assert plan_route([sure, worse], rate=20).rungs[0] == Rung("small")


def test_equal_models_are_not_climbed() -> None:
    plan = plan_route([Prospect("a", 0.5, 0.001, (0.5, 0.5)), Prospect("b", 0.5, 0.001, (0.5, 0.5))], rate=1)
    assert len(ladder_of(plan)) == 1


def test_among_models_of_one_price_the_reason_speaks_of_no_cheaper_one() -> None:
    doubted = Prospect("a", 0.2, 0.001, (0.1, 0.3))
    plan = plan_route([doubted, Prospect("b", 0.8, 0.001, (0.8, 0.8)), Prospect("c", 0.1, 0.001)], rate=1)
    assert (plan.strategy, plan.rungs[0].model) == ("single", "b")
    assert plan.why == "b is expected to answer best of models that cost the same"
    cheaper = plan_route([doubted, Prospect("d", 0.8, 0.002)], rate=1)
    assert cheaper.why.startswith("a cheaper model would nearly always be doubted")


def test_one_capable_model_is_the_route() -> None:
    plan = plan_route([SMALL], rate=1e9)
    assert plan == Plan((Rung("small"),), "single", "small is the only model that can serve it")


def test_a_long_ladder_is_climbed_in_the_order_of_price() -> None:
    small = Prospect("small", 0.5, 0.0001, (0.1, 0.5, 0.99))
    middle = Prospect("middle", 0.7, 0.001, (0.3, 0.8, 0.95))
    plan = plan_route([LARGE, small, middle], rate=1)
    assert [rung.model for rung in ladder_of(plan)] == ["small", "middle", "large"]
    bars = [rung.bar for rung in ladder_of(plan)[:-1]]
    assert bars[0] is not None
    assert bars[1] == pytest.approx(0.89)
    assert bars[0] > bars[1]


@given(
    st.integers(0, 10_000), st.integers(1, 5), rates, st.sampled_from([0.0, 0.1, float("inf")]), st.booleans()
)
def test_the_plan_begins_with_the_model_that_the_rule_was_calibrated_to_choose(
    seed: int, models: int, rate: float, margin: float, dearest_is_large: bool
) -> None:
    rng = np.random.default_rng(seed)
    quality, usd = rng.random((1, models)), rng.random((1, models)) / 100
    large = int(np.argmax(usd)) if dearest_is_large else 0
    prospects = [Prospect(f"m{j}", quality[0, j], usd[0, j], (0.2, 0.9)) for j in range(models)]
    plan = plan_route(certified_prospects(prospects, f"m{large}", margin), rate)
    (chosen,) = choose(quality, usd, large, Rule(rate, margin))
    assert plan.rungs[0] == Rung(f"m{chosen}")
    assert all(rung.is_fallback for rung in plan.rungs[1:])
