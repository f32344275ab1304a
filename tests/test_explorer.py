"""The explorer: its cost is stated before, its share is kept, and promises and needs stay what they are."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from router_fixtures import AxisEmbedder, calibration_rows, scripted, scripted_config, small_state
from test_router import CAPITAL, CAPITAL_VECTOR, FLOOR, LARGE, SMALL, SUM, SUM_VECTOR, card

from pinnace.config import AnyPolicy, BudgetPolicy, Explore, Policy
from pinnace.models.completion import Request
from pinnace.models.fleet import Fleet
from pinnace.router.belief import ABOVE_ALL, outcome_of
from pinnace.router.dispatch import Dispatcher, make_router
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.exploration import Exploration, is_drawn
from pinnace.router.explorer import Explorer
from pinnace.router.forecast import Forecast, Forecaster
from pinnace.router.known import Known
from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.planner import make_planner
from pinnace.router.policy import Plan
from pinnace.router.prospects import prospects_of
from pinnace.router.route import Route, Rung
from pinnace.router.router import Router
from pinnace.router.state import RouterState, save_state
from pinnace.router.typical import typical_leverage, typical_requests

CARDS = [SMALL, LARGE]
TRADEOFF = Policy()
BUDGET = BudgetPolicy(mode="budget", usd_per_1k=1.5)
LEVERAGE = 0.072
"""Of a request whose embedding has length one; with the fixture's 21 features that is also the rows' own."""


def unsure_state() -> RouterState:
    """The small state with standard deviations of about 0.25, and rows like `SUM` and `CAPITAL`."""
    state, rows = small_state(), calibration_rows()
    half = len(rows.scores) // 2
    expected = np.tile([[20.0, 40.0], [10.0, 20.0]], (half, 1))
    prompts = np.tile([9.0, 10.0], half)  # one less than asked, so that no request lies on a rule's edge
    d = len(state.expectation.centre)
    covariance = np.diag([LEVERAGE] * 2 + [0.0] * (d - 2))
    spread = state.confidences.copy()
    spread[:, 0] = np.linspace(0.1, 0.9, spread.shape[2])
    return replace(
        state,
        confidences=spread,
        expectation=replace(
            state.expectation, covariance=covariance, residual=np.full(2, 0.25**2 / LEVERAGE)
        ),
        calibration=replace(rows, expected_tokens=expected, output_tokens=expected, prompt_tokens=prompts),
    )


STATE = unsure_state()


def router_of(explore: Explore | None, policy: AnyPolicy = TRADEOFF, state: RouterState = STATE) -> Router:
    return Router(state, EmbeddingQueue(AxisEmbedder()), policy, explore)


def explorer_of(settings: Exploration, policy: AnyPolicy = TRADEOFF) -> Explorer:
    known = Known(STATE)
    planner = make_planner(policy, STATE, known, settings.share)
    return Explorer(settings, STATE, known, Forecaster(STATE, known), planner)


def asked(count: int) -> tuple[list[Request], np.ndarray]:
    """As many requests about sums as about capitals, each with an id, and their vectors."""
    requests = [replace((SUM, CAPITAL)[i % 2], id=f"chatcmpl-{i}") for i in range(count)]
    return requests, np.array([(SUM_VECTOR, CAPITAL_VECTOR)[i % 2] for i in range(count)])


def forecast_of(requests: Sequence[Request], vectors: np.ndarray, *, by_fold: bool = False) -> Forecast:
    features = STATE.expectation.see([request.text() for request in requests], vectors)
    return Forecaster(STATE, Known(STATE)).forecast(features, requests, CARDS, by_fold=by_fold)


def ladder_of(route: Route) -> list[tuple[str, float | None]]:
    return [(rung.model, rung.bar) for rung in route.rungs if not rung.is_fallback]


def changes(settings: Explore, policy: AnyPolicy, count: int = 1500) -> np.ndarray:
    """Of each request: whether it is explored, answers that loses, and USD that it adds, (count, 3)."""
    on, off = router_of(settings, policy), router_of(None, policy)
    requests, vectors = asked(count)
    features = on.features([request.text() for request in requests], vectors)
    first, second = (router.decide_many(features, requests, CARDS) for router in (on, off))
    same = (first.is_rung == second.is_rung).all(axis=1)
    same &= ((first.bars == second.bars) | np.isnan(first.bars) & np.isnan(second.bars)).all(axis=1)
    usual = [off.decide(vectors[at], requests[at], CARDS) for at in range(2)]
    found = forecast_of(requests, vectors, by_fold=policy is FLOOR)
    changed = np.zeros((count, 3))
    for at in np.flatnonzero(~same).tolist():
        explored = on.decide(vectors[at], requests[at], CARDS)
        assert explored.strategy == "explored"
        prospects = prospects_of(found.of_row(at), CARDS)
        after, before = (outcome_of(Plan(r.rungs, "", ""), prospects) for r in (explored, usual[at % 2]))
        changed[at] = 1.0, before[0] - after[0], after[1] - before[1]
    return changed


@pytest.mark.parametrize("policy", [Policy(), Policy(alpha=0.6), FLOOR])
def test_what_exploring_costs_is_what_was_stated(policy: AnyPolicy) -> None:
    stated = explorer_of(Exploration(0.4), policy).cost(CARDS)
    changed = changes(Explore(share=0.4), policy)
    expected = (
        stated.share * stated.changed,
        stated.quality_loss_per_1k / 1000,
        stated.extra_usd_per_1k / 1000,
    )
    error = changed.std(axis=0) / np.sqrt(len(changed))
    assert stated.changed > 0.2
    assert (np.abs(changed.mean(axis=0) - expected) <= 3 * error + 0.02 * np.abs(expected)).all()


@pytest.mark.parametrize("policy", [Policy(), FLOOR])
def test_the_share_shrinks_to_the_limit_and_the_limit_holds(
    policy: AnyPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    free = explorer_of(Exploration(0.8), policy).cost(CARDS)
    limit = free.extra_usd_per_1k / 4
    settings = Explore(share=0.8, max_extra_usd_per_1k=limit)
    with caplog.at_level(logging.INFO, logger="pinnace.router.explorer"):
        router_of(settings, policy).prepare(CARDS)
    (told,) = caplog.messages
    assert told.startswith("exploring 20.00% of requests (lowered from 80.00% to keep within its limits)")
    assert f"expected to add {limit:.4g} USD" in told
    added = 1000 * changes(settings, policy)[:, 2]
    assert 0 < added.mean() <= limit + 2 * added.std() / np.sqrt(len(added))


def test_the_share_that_is_asked_for_is_drawn() -> None:
    explorer = explorer_of(Exploration(0.05))
    drawn = [explorer.is_drawn(f"chatcmpl-{i}", CARDS) for i in range(20_000)]
    assert np.mean(drawn) == pytest.approx(0.05, abs=0.005)
    assert drawn[:200] == [is_drawn(f"chatcmpl-{i}", 0.05) for i in range(200)]


@pytest.mark.parametrize("policy", [Policy(), FLOOR, BUDGET])
def test_many_are_explored_as_each_one_alone(policy: AnyPolicy) -> None:
    router = router_of(Explore(share=0.5), policy)
    requests, vectors = asked(120)
    features = router.features([request.text() for request in requests], vectors)
    ladders = router.decide_many(features, requests, CARDS)
    routes = [router.decide(v, r, CARDS) for v, r in zip(vectors, requests, strict=True)]
    for at, route in enumerate(routes):
        rungs = ladder_of(route)
        assert CARDS[ladders.first[at]].name == rungs[0][0]
        assert {CARDS[i].name for i in np.flatnonzero(ladders.is_rung[at])} == {model for model, _ in rungs}
        bars = {CARDS[i].name: ladders.bars[at, i] for i in np.flatnonzero(~np.isnan(ladders.bars[at]))}
        assert bars == pytest.approx({model: bar for model, bar in rungs if bar is not None}, rel=1e-12)
    strategies = {route.strategy for route in routes}
    assert "explored" in strategies
    assert len(strategies) > 1


def test_under_a_floor_every_drawn_request_is_answered_by_the_large_model_and_no_other_is_touched() -> None:
    on, off = router_of(Explore(share=0.3), FLOOR), router_of(None, FLOOR)
    requests, vectors = asked(300)
    for vector, request in zip(vectors, requests, strict=True):
        route = on.decide(vector, request, CARDS)
        if is_drawn(request.id, 0.3):
            assert ladder_of(route) == [("small", ABOVE_ALL), ("large", None)]
            assert route.strategy == "explored"
            assert route.why.startswith("explored: cascade: small is tried and always climbed past")
        else:
            assert route.rungs == off.decide(vector, request, CARDS).rungs
    assert off.decide(CAPITAL_VECTOR, CAPITAL, CARDS).rungs[0] == Rung("small"), "else nothing is at stake"


def test_a_floor_is_certified_for_the_requests_that_are_not_explored() -> None:
    state = replace(STATE, calibration=calibration_rows(300, gap=0.05))
    policy = FLOOR.model_copy(update={"horizon": 100})
    all_of_them, half, hardly_any = (
        make_planner(policy, state, Known(state), share).terms(CARDS, ["a"], np.ones(1))
        for share in (0.0, 0.5, 0.98)
    )
    fewer = policy.model_copy(update={"horizon": 50})
    plain = make_planner(fewer, state, Known(state)).terms(CARDS, ["a"], np.ones(1))
    assert (half.rates.tolist(), half.margin) == (plain.rates.tolist(), plain.margin)
    assert all_of_them.margin is not None
    assert np.isfinite(all_of_them.margin)
    assert hardly_any.margin == np.inf


def test_what_cannot_serve_is_never_explored() -> None:
    router = router_of(Explore(share=1.0))
    cards = [SMALL, card("middle", 10, estimates="small"), replace(LARGE, context_window=1)]
    requests, vectors = asked(100)
    routes = [router.decide(v, r, cards) for v, r in zip(vectors, requests, strict=True)]
    assert any(route.strategy == "explored" for route in routes)
    assert all("large" not in {rung.model for rung in route.rungs} for route in routes)


def test_a_request_that_names_its_model_or_has_no_id_is_never_explored() -> None:
    router = router_of(Explore(share=1.0))
    requests, vectors = asked(50)
    pinned = [router.decide(v, r, CARDS, pinned="small") for v, r in zip(vectors, requests, strict=True)]
    assert {(route.strategy, route.rungs) for route in pinned} == {("pinned", (Rung("small"),))}
    nameless = [router.decide(v, replace(r, id=""), CARDS) for v, r in zip(vectors, requests, strict=True)]
    assert "explored" not in {route.strategy for route in nameless}


def test_without_calibration_rows_nothing_is_explored_and_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    router = router_of(Explore(share=1.0), state=replace(STATE, calibration=calibration_rows(0)))
    requests, vectors = asked(20)
    with caplog.at_level(logging.WARNING):
        routes = [router.decide(v, r, CARDS) for v, r in zip(vectors, requests, strict=True)]
    assert "explored" not in {route.strategy for route in routes}
    assert caplog.messages == ["nothing is explored: no calibration row tells what it would cost"]


def test_one_model_has_nothing_to_explore() -> None:
    assert explorer_of(Exploration(1.0)).cost([SMALL]).share == 0


def test_typical_requests_are_as_uncertain_as_the_requests_that_are_served() -> None:
    typical = typical_requests(STATE, Known(STATE), CARDS)
    requests, vectors = asked(2)
    features = STATE.expectation.see([request.text() for request in requests], vectors)
    served = Forecaster(STATE, Known(STATE)).sd(features, np.ones(2), CARDS)
    assert typical_leverage(STATE) == pytest.approx(LEVERAGE + 0.01, rel=0.05)
    assert typical.sds == pytest.approx(np.tile(served[:1], (len(typical.sds), 1)), rel=0.05)
    strange = replace(STATE, clusters=replace(STATE.clusters, familiar=(0.5, 0.9)))
    assert typical_requests(strange, Known(STATE), CARDS).sds.mean() > typical.sds.mean()


async def test_the_ledger_says_which_requests_were_explored(tmp_path: Path) -> None:
    backends = [
        scripted("small", "It is 5.", price=1, probability=0.95),
        scripted("large", "It is 42.", price=100),
    ]
    path = tmp_path / "ledger.sqlite"
    router = router_of(Explore(share=0.5), FLOOR)
    dispatcher = Dispatcher(Fleet({b.card.name: b for b in backends}), router, Ledger(path))
    await dispatcher.start()
    try:
        for i in range(40):
            request = replace(CAPITAL, id=f"chatcmpl-{i}")
            route = await dispatcher.route(request)
            async for _ in dispatcher.run(request, route):
                pass
    finally:
        await dispatcher.drain()
    rows = read_ledger(path)
    explored = {row.request_id for row in rows if row.strategy == "explored"}
    assert explored == {row.request_id for row in rows if is_drawn(row.request_id, 0.5)}
    assert {row.route for row in rows if row.request_id in explored} == {"small>large"}
    assert {row.route for row in rows if row.request_id not in explored} == {"small"}
    assert 5 < len(explored) < 35


def test_the_configuration_turns_it_on(tmp_path: Path) -> None:
    hashing = replace(STATE, provenance=replace(STATE.provenance, embedder="hashing"))
    save_state(hashing, tmp_path / "state")
    config = scripted_config(
        tmp_path, embedder="hashing", state=tmp_path / "state", explore={"share": 0.5, "keep": 0.0}
    )
    router = make_router(config)
    requests, vectors = asked(100)
    strategies = [router.decide(v, r, CARDS).strategy for v, r in zip(vectors, requests, strict=True)]
    assert 0 < strategies.count("explored") < 100
