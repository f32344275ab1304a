"""Exploration: what is uncertain is tried, inside the floor, at the cost that was stated."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.belief import ABOVE_ALL, Belief, compared_plan, outcome_of, sampled_plan
from pinnace.router.exploration import Exploration, bounded_share, expected_cost, explore, is_drawn
from pinnace.router.policy import Plan, Prospect, plan_route
from pinnace.router.route import Rung

SPREAD = tuple(np.linspace(0.4, 0.9, 11).tolist())
LARGE = Prospect("large", 0.9, 1e-3)
SMALL = Prospect("small", 0.65, 1e-5, SPREAD)
OTHER = Prospect("other", 0.6, 2e-5)
ALWAYS = Exploration(1.0, keep=0.0)


def belief_of(*prospects: Prospect, sd: float = 0.2, rate: float = 100.0) -> Belief:
    return Belief(prospects, (sd,) * len(prospects), rate)


def usual_of(belief: Belief) -> Plan:
    return plan_route(belief.prospects, belief.rate)


UNSURE = belief_of(LARGE, SMALL, OTHER)


def test_the_share_is_drawn_by_the_id_alone() -> None:
    drawn = [is_drawn(f"r{i}", 0.05) for i in range(20_000)]
    assert np.mean(drawn) == pytest.approx(0.05, abs=0.005)
    assert drawn == [is_drawn(f"r{i}", 0.05) for i in range(20_000)]
    assert not any(is_drawn(f"r{i}", 0.0) for i in range(100))
    assert all(is_drawn(f"r{i}", 1.0) for i in range(100))


def test_the_same_request_is_explored_in_the_same_way() -> None:
    plans = [explore(UNSURE, ALWAYS, f"r{i}") for i in range(50)]
    assert plans == [explore(UNSURE, ALWAYS, f"r{i}") for i in range(50)]
    assert len({str(plan) for plan in plans}) > 10


def test_an_explored_plan_says_so_and_is_a_whole_plan() -> None:
    plan = next(plan for i in range(50) if (plan := explore(UNSURE, ALWAYS, f"r{i}")))
    assert plan.strategy == "explored"
    assert plan.why.startswith("explored: ")
    assert {rung.model for rung in plan.rungs} == {"large", "small", "other"}


def test_nothing_is_explored_where_everything_is_known_or_nothing_is_drawn() -> None:
    sure = belief_of(LARGE, SMALL, OTHER, sd=0.0)
    assert all(explore(sure, ALWAYS, f"r{i}") is None for i in range(50))
    assert expected_cost([sure], ALWAYS).changed == 0
    assert all(explore(UNSURE, Exploration(0.0), f"r{i}") is None for i in range(50))


def test_drafts_are_climbed_past_that_would_have_been_accepted() -> None:
    usual = usual_of(UNSURE)
    bars = [
        plan.rungs[0].bar
        for i in range(200)
        if (plan := explore(UNSURE, ALWAYS, f"r{i}")) and plan.rungs[0].model == "small"
    ]
    bar = usual.rungs[0].bar
    assert bar is not None
    assert any(each is not None and each > bar for each in bars)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=4),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.floats(0, 1000),
    st.text(max_size=8),
)
def test_no_explored_plan_is_below_both_the_usual_one_and_the_floor(
    qualities: list[float], sd: float, keep: float, rate: float, name: str
) -> None:
    prospects = [
        Prospect(f"m{i}", q, 10.0 ** (i - 6), SPREAD if i == 0 else ()) for i, q in enumerate(qualities)
    ]
    belief = belief_of(*prospects, sd=sd, rate=rate)
    usual = usual_of(belief)
    plan = explore(belief, Exploration(1.0, keep=keep), name)
    if plan is not None:
        floor = min(outcome_of(usual, prospects)[0], keep * prospects[-1].quality)
        assert outcome_of(plan, prospects)[0] >= floor - 1e-6


def test_the_outcome_of_a_ladder_is_that_of_climbing_it() -> None:
    plan = usual_of(UNSURE)
    bar = plan.rungs[0].bar
    assert [rung.model for rung in plan.rungs if not rung.is_fallback] == ["small", "large"]
    assert bar is not None
    served = [(c, 1e-5) if c >= bar else (0.9, 1e-5 + 1e-3) for c in SPREAD]
    assert outcome_of(plan, UNSURE.prospects) == pytest.approx(tuple(np.mean(served, axis=0).tolist()))


def test_the_stated_cost_is_what_exploring_costs() -> None:
    settings = Exploration(0.3, keep=0.9)
    usual = usual_of(UNSURE)
    plain = np.array(outcome_of(usual, UNSURE.prospects))
    change = np.zeros(2)
    requests = 20_000
    for i in range(requests):
        if plan := explore(UNSURE, settings, f"r{i}"):
            change += np.array(outcome_of(plan, UNSURE.prospects)) - plain
    stated = expected_cost([UNSURE], settings, draws=6_000)
    quality, usd = (1000 * change / requests).tolist()
    assert -quality == pytest.approx(stated.quality_loss_per_1k, abs=0.25)
    assert usd == pytest.approx(stated.extra_usd_per_1k, rel=0.15)
    assert stated.worth_loss_per_1k == pytest.approx(
        stated.quality_loss_per_1k + UNSURE.rate * stated.extra_usd_per_1k
    )
    assert stated.worth_loss_per_1k > 0
    assert 0 < stated.changed < 1


def test_the_floor_forbids_what_would_break_it() -> None:
    free, strict = (expected_cost([UNSURE], Exploration(0.1, keep=keep)) for keep in (0.0, 1.0))
    assert free.refused_by_floor == 0
    assert strict.refused_by_floor > 0.2
    assert strict.quality_loss_per_1k < free.quality_loss_per_1k


def test_kinds_of_requests_count_by_how_often_they_come() -> None:
    sure = replace(belief_of(LARGE, SMALL, sd=0.0), weight=3.0)
    alone, mixed = expected_cost([UNSURE], ALWAYS), expected_cost([UNSURE, sure], ALWAYS)
    assert mixed.quality_loss_per_1k == pytest.approx(alone.quality_loss_per_1k / 4)
    assert mixed.changed == pytest.approx(alone.changed / 4)


def test_the_share_shrinks_until_the_cost_is_within_its_limits() -> None:
    cost = expected_cost([UNSURE], Exploration(0.2, keep=0.0))
    assert cost.quality_loss_per_1k > 0
    free = bounded_share(cost, Exploration(0.2))
    assert free == cost
    half = bounded_share(cost, Exploration(0.2, max_quality_loss_per_1k=cost.quality_loss_per_1k / 2))
    assert (half.share, half.quality_loss_per_1k) == pytest.approx((0.1, cost.quality_loss_per_1k / 2))
    dear = replace(cost, extra_usd_per_1k=4.0)
    assert bounded_share(dear, Exploration(0.2, max_extra_usd_per_1k=1.0)).share == pytest.approx(0.05)
    slack = cost.quality_loss_per_1k / 1000 / 4
    assert bounded_share(cost, Exploration(0.2), slack=slack).share == pytest.approx(0.05)
    assert bounded_share(cost, Exploration(0.2), slack=0.0).share == 0
    assert bounded_share(cost, Exploration(0.2), slack=-0.1).share == 0


@pytest.mark.parametrize(
    "wrong", [{"share": 1.1}, {"share": 0.1, "keep": -1}, {"share": 0.1, "max_extra_usd_per_1k": -0.5}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        Exploration(**wrong)


def test_draws_have_the_spread_that_is_believed() -> None:
    firsts = [
        sampled_plan(belief_of(LARGE, replace(OTHER, quality=0.9), rate=0.0), seed).rungs[0].model
        for seed in range(400)
    ]
    assert np.mean([model == "large" for model in firsts]) == pytest.approx(0.5, abs=0.1)


def test_the_usual_plan_may_be_another_rules() -> None:
    certified = Plan((Rung("large"),), "direct", "by the certified rule")
    belief = replace(UNSURE, usual=certified)
    always = expected_cost([belief], Exploration(0.1, keep=0.0))
    assert always.extra_usd_per_1k < 0 < always.quality_loss_per_1k
    plans = [explore(belief, Exploration(1.0, keep=0.95), f"r{i}") for i in range(100)]
    assert {plan.rungs[0].model for plan in plans if plan} == {"small"}
    assert all(outcome_of(plan, belief.prospects)[0] >= 0.95 * 0.9 - 1e-6 for plan in plans if plan)


CERTIFIED = Plan((Rung("small"), Rung("large", is_fallback=True)), "single", "by the certified rule")


def test_under_a_certified_floor_the_large_model_answers_and_another_is_compared_with_it() -> None:
    belief = replace(UNSURE, usual=CERTIFIED, answerer="large")
    plans = [explore(belief, Exploration(1.0), f"r{i}") for i in range(200)]
    ladders = {tuple((rung.model, rung.bar) for rung in plan.rungs[:2]) for plan in plans if plan}
    assert ladders == {(("small", ABOVE_ALL), ("large", None)), (("other", ABOVE_ALL), ("large", None))}
    assert None not in plans, "which of the drawn requests are compared has nothing to do with the draws"


def test_a_comparison_costs_both_and_is_as_good_as_the_large_model() -> None:
    plan = compared_plan(replace(UNSURE, sds=(0.0,) * 3, answerer="large"), 0)
    assert outcome_of(plan, UNSURE.prospects) == pytest.approx((0.9, 1e-3 + 1e-5))


def test_nothing_is_compared_where_there_is_nothing_to_compare() -> None:
    alone = replace(belief_of(LARGE), answerer="large")
    without = replace(belief_of(SMALL, OTHER), answerer="large")
    for belief in (alone, without):
        assert all(explore(belief, ALWAYS, f"r{i}") is None for i in range(50))
