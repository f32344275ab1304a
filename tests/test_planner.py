"""Planners: the terms of each policy, and what they say where nothing can be promised."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from router_fixtures import calibration_rows, small_state
from test_router import LARGE, SMALL, card

from pinnace.config import AnyPolicy, BudgetPolicy, FloorPolicy, Policy
from pinnace.router.known import Known
from pinnace.router.planner import CHEAPEST, Planner, make_planner
from pinnace.router.policy import exchange_rate
from pinnace.router.state import RouterState

CARDS = [SMALL, LARGE]
ONE = np.array([0.004])


def planner_of(policy: AnyPolicy, state: RouterState | None = None) -> Planner:
    state = state or small_state()
    return make_planner(policy, state, Known(state))


def test_lambda_is_of_the_gap_between_the_dearest_and_the_cheapest() -> None:
    cards = [LARGE, card("middle", 10, estimates="small"), SMALL]
    terms = planner_of(Policy(alpha=0.6)).terms(cards, ["a", "b"], np.array([0.002, 0.0]))
    assert terms.rates.tolist() == [pytest.approx(exchange_rate(0.6, 0.96 - 0.5, 0.002)), 0.0]
    assert terms.margin is None


def test_a_floor_has_one_certified_rule_for_every_request() -> None:
    terms = planner_of(FloorPolicy(mode="quality_floor", keep=0.9)).terms(CARDS, ["a", "b"], ONE)
    assert len(set(terms.rates.tolist())) == 1
    assert terms.margin is not None
    assert np.isfinite(terms.margin)
    assert "certified" not in terms.why
    assert "of its cost saved" in terms.why


def test_a_floor_follows_the_prices_of_the_fleet() -> None:
    planner = planner_of(FloorPolicy(mode="quality_floor", keep=0.9))
    dear = planner.terms(CARDS, ["a"], ONE).rates[0]
    cheap = planner.terms([SMALL, card("large", 10)], ["a"], ONE).rates[0]
    assert cheap == pytest.approx(dear * (2800 - 18) / (280 - 18), rel=1e-6)


def test_a_floor_without_rows_is_the_large_model_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    none = replace(small_state(), calibration=calibration_rows(0))
    with caplog.at_level(logging.WARNING):
        terms = planner_of(FloorPolicy(mode="quality_floor", keep=0.9), none).terms(CARDS, ["a"], ONE)
    assert terms.margin == np.inf
    assert "no calibration row has large and another of the fleet" in caplog.text


def test_a_floor_over_a_large_model_that_was_never_measured_is_that_model() -> None:
    terms = planner_of(FloorPolicy(mode="quality_floor", keep=0.9)).terms(
        [SMALL, card("new", 500)], ["a"], ONE
    )
    assert terms.margin == np.inf


def test_one_model_needs_no_promise(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert (
            planner_of(FloorPolicy(mode="quality_floor", keep=0.9)).terms([LARGE], ["a"], ONE).margin is None
        )
    assert not caplog.text


def test_a_budget_that_buys_everything_has_the_lowest_rate() -> None:
    texts = [f"text {i}" for i in range(200)]
    dearest = np.full(200, 0.004)
    rich, middling, poor = (
        planner_of(BudgetPolicy(mode="budget", usd_per_1k=usd)).terms(CARDS, texts, dearest).rates
        for usd in (10.0, 1.0, 0.041)
    )
    assert rich.max() < middling.mean() < poor.max()
    assert len(np.unique(middling)) == 2


def test_a_budget_without_rows_is_spent_on_the_cheapest(caplog: pytest.LogCaptureFixture) -> None:
    none = replace(small_state(), calibration=calibration_rows(0))
    planner = planner_of(BudgetPolicy(mode="budget", usd_per_1k=1), none)
    with caplog.at_level(logging.WARNING):
        terms = planner.terms(CARDS, ["a"], ONE)
    planner.spend(0.1)
    assert terms.rates.tolist() == [CHEAPEST]
    assert "the cheapest model answers" in terms.why
    assert "budget: no calibration row has all of the fleet" in caplog.text


def test_a_budget_that_nothing_can_meet_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        planner_of(BudgetPolicy(mode="budget", usd_per_1k=0.001)).prepare(CARDS)
    assert "budget: even the cheapest rule costs" in caplog.text


def test_the_large_model_is_the_dearest() -> None:
    assert Known(small_state()).large([LARGE, SMALL, card("middle", 10)]) == 0


def test_of_equally_dear_models_the_large_one_is_the_best() -> None:
    """A fleet of a base and its specialists: which of them stands last in `router.yaml` says nothing."""
    state = small_state()
    by_quality = [state.models[i] for i in np.argsort(-state.overall[:, 0])]
    for names in (by_quality, by_quality[::-1]):
        cards = [card(name, 1) for name in names]
        assert cards[Known(state).large(cards)].name == by_quality[0]
