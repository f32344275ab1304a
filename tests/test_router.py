"""The router: estimates worked out by hand, needs that strike out, and the routes that follow."""

import asyncio
import logging
import threading
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from router_fixtures import QUALITY, AxisEmbedder, calibration_rows, linear_expectation, small_state
from server_fixtures import member

from pinnace.config import AnyPolicy, BudgetPolicy, FloorPolicy, Policy
from pinnace.errors import NoCapableModelError, StateError
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Message, Request, Usage
from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.clusters import Clusters
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.escalation import EscalationGains
from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.forecast import UNKNOWN_SD
from pinnace.router.gate import sigmoid
from pinnace.router.route import ClusterMatch, EscalationGain, ModelEstimate, Rung
from pinnace.router.router import Router
from pinnace.router.state import RouterState


def card(name: str, price: float, **fields: object) -> ModelCard:
    return replace(card_of(member(name, {"answer": "x"}, price=price), backend="scripted"), **fields)


SMALL, LARGE = card("small", 1), card("large", 100)
CAPITAL = Request((Message("user", "What is the capital of France?"),))
SUM = Request((Message("user", "What is the sum of 2 and 3?"),))
TOOLS = replace(CAPITAL, tools=({"type": "function"},))


def router_of(
    state: RouterState | None = None, alpha: float = 0.75, policy: AnyPolicy | None = None
) -> Router:
    return Router(state or small_state(), EmbeddingQueue(AxisEmbedder()), policy or Policy(alpha=alpha))


@pytest.fixture
def router() -> Generator[Router, None, None]:
    router = router_of()
    router.start()
    yield router
    router.stop()


async def test_on_what_the_small_model_knows_it_is_tried_first(router: Router) -> None:
    route = await router.route(CAPITAL, [SMALL, LARGE])
    assert (route.strategy, [rung.model for rung in route.rungs]) == ("cascade", ["small", "large"])
    assert route.clusters[0] == ClusterMatch(1, "capital, country", pytest.approx(1.0, abs=1e-6))
    assert route.familiarity == 1.0
    assert route.decision_s > 0


async def test_on_what_it_does_not_know_the_large_one_is_asked_at_once(router: Router) -> None:
    route = await router.route(SUM, [SMALL, LARGE])
    assert route.strategy == "direct"
    assert route.rungs == (Rung("large"), Rung("small", is_fallback=True))


async def test_estimates_are_those_worked_out_by_hand(router: Router) -> None:
    route = await router.route(CAPITAL, [SMALL, LARGE])
    prompt = len(CAPITAL.text()) // 4 + 4
    assert route.estimates == (
        ModelEstimate("small", pytest.approx(0.8), pytest.approx(0.05), SMALL.cost(Usage(prompt, 10))),
        ModelEstimate("large", pytest.approx(0.97), pytest.approx(0.05), LARGE.cost(Usage(prompt, 20))),
    )


async def test_no_more_tokens_are_expected_than_are_asked_for_and_for_each_choice(router: Router) -> None:
    route = await router.route(replace(CAPITAL, max_tokens=4, n=3), [SMALL])
    prompt = len(CAPITAL.text()) // 4 + 4
    assert route.estimates[0].cost_usd == pytest.approx(SMALL.cost(Usage(prompt, 12)))


def test_between_two_clusters_estimates_are_weighted_by_likeness() -> None:
    router = router_of()
    route = router.decide(np.array([1.0, 1.0]) / np.sqrt(2), CAPITAL, [SMALL])
    assert [match.weight for match in route.clusters] == pytest.approx([0.5, 0.5])
    assert route.estimates[0].quality == pytest.approx((0.15 + 0.8) / np.sqrt(2))
    assert route.estimates[0].quality_sd == pytest.approx(0.05)


def test_of_an_unfamiliar_request_the_models_mean_is_expected() -> None:
    state = small_state()
    strange = replace(state, clusters=Clusters(np.eye(2), state.clusters.labels, (0.8, 0.9)))
    route = router_of(strange).decide(np.array([1.0, 1.0]) / np.sqrt(2), CAPITAL, [SMALL])
    assert route.familiarity == 0
    assert route.estimates[0].quality == pytest.approx(0.5)
    assert route.estimates[0].quality_sd == pytest.approx(UNKNOWN_SD)


async def test_a_model_that_cannot_serve_is_struck_out_and_says_why(router: Router) -> None:
    route = await router.route(TOOLS, [SMALL, replace(LARGE, tools=True)])
    assert route.rungs == (Rung("large"),)
    assert route.strategy == "single"
    assert [estimate.struck_out for estimate in route.estimates] == ["cannot call tools", None]


async def test_where_no_model_can_serve_each_says_why(router: Router) -> None:
    said = "no model of the fleet can serve this request: small: cannot call tools; large: cannot call tools"
    with pytest.raises(NoCapableModelError, match=said):
        await router.route(TOOLS, [SMALL, LARGE])


async def test_the_model_that_was_named_alone_is_asked(router: Router) -> None:
    route = await router.route(SUM, [SMALL, LARGE], pinned="small")
    assert (route.rungs, route.strategy, route.why) == ((Rung("small"),), "pinned", "the request names small")


async def test_a_named_model_of_which_only_averages_are_known_needs_no_embedding(router: Router) -> None:
    strange = card("strange", 7)
    read = router.decide(np.array([1.0, 0.0]), SUM, [SMALL, strange], pinned="strange")
    router.stop()
    route = await router.route(SUM, [SMALL, strange], pinned="strange")
    assert (route.rungs, route.strategy, route.why) == (read.rungs, read.strategy, read.why)
    assert route.estimates == (read.estimates[1],)
    assert (route.clusters, route.familiarity, route.embed_s) == ((), 0.0, 0.0)


async def test_the_model_that_was_named_must_be_able_too(router: Router) -> None:
    with pytest.raises(NoCapableModelError, match=r"small: cannot call tools$"):
        await router.route(TOOLS, [SMALL, replace(LARGE, tools=True)], pinned="small")


async def test_a_model_that_was_never_measured_is_given_the_mean_and_says_so_once(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            route = await router.route(CAPITAL, [SMALL, card("new", 10)])
    assert route.estimates[1].quality == pytest.approx((0.5 + 0.96) / 2)
    assert route.estimates[1].quality_sd == UNKNOWN_SD
    assert caplog.text.count("the router state knows nothing of new") == 1


async def test_a_model_borrows_the_estimates_that_its_card_names(router: Router) -> None:
    route = await router.route(CAPITAL, [SMALL, card("gpt", 100, estimates="large")])
    assert route.estimates[1].quality == pytest.approx(0.97)
    assert [rung.model for rung in route.rungs] == ["small", "gpt"]


async def test_one_model_is_the_route_without_a_question(router: Router) -> None:
    route = await router.route(SUM, [SMALL])
    assert (route.rungs, route.strategy) == ((Rung("small"),), "single")


@pytest.mark.parametrize(("alpha", "first"), [(1.0, "large"), (0.001, "small")])
def test_alpha_decides_between_quality_and_cost(alpha: float, first: str) -> None:
    router = router_of(alpha=alpha)
    assert router.decide(np.array([1.0, 0.0]), SUM, [SMALL, LARGE]).rungs[0].model == first


def test_the_order_of_the_fleet_changes_no_route() -> None:
    vector = np.array([0.0, 1.0])
    one, other = (router_of().decide(vector, CAPITAL, cards) for cards in ([SMALL, LARGE], [LARGE, SMALL]))
    assert one.rungs == other.rungs


def test_confidence_is_the_mean_over_the_choices() -> None:
    router = router_of()
    route = router.decide(np.array([0.0, 1.0]), CAPITAL, [SMALL, LARGE])
    blank = Evidence(**dict.fromkeys(FEATURES, 0.0) | {"valid": 1.0})
    evidence = [replace(blank, mean=-0.5), replace(blank, mean=-1.0)]
    expected = (sigmoid(2 - 4 * 0.5) + sigmoid(2 - 4 * 1.0)) / 2
    for is_whole in (True, False):
        assert router.judge(route, SMALL, evidence, is_whole=is_whole) == pytest.approx(expected)


def test_without_a_gate_the_estimate_is_the_confidence() -> None:
    router = router_of()
    route = router.decide(np.array([0.0, 1.0]), CAPITAL, [SMALL, LARGE])
    blank = Evidence(**dict.fromkeys(FEATURES, 0.0) | {"valid": 1.0})
    assert router.judge(route, LARGE, [blank], is_whole=True) == pytest.approx(0.97)


def test_a_state_of_another_embedder_is_refused() -> None:
    said = "the router state was fitted with embedder 'other', got 'axes'"
    with pytest.raises(StateError, match=said):
        router_of(small_state(embedder="other"))


SUM_VECTOR, CAPITAL_VECTOR = np.array([1.0, 0.0]), np.array([0.0, 1.0])
FLOOR = FloorPolicy(mode="quality_floor", keep=0.9)


def with_gains(low_to_high: float, half: float) -> RouterState:
    """The small state where `large` wins this much over `small` everywhere."""
    gain = np.zeros((3, 2, 2))
    gain[:, 0, 1], gain[:, 1, 0] = low_to_high, -low_to_high
    return replace(small_state(), gains=EscalationGains(gain, np.full_like(gain, half)))


def test_a_route_tells_what_climbing_wins_there() -> None:
    route = router_of().decide(CAPITAL_VECTOR, CAPITAL, [SMALL, LARGE])
    (gain,) = route.gains
    assert (gain.model, gain.to) == ("small", "large")
    assert (gain.gain, gain.low, gain.high) == pytest.approx((0.17, 0.07, 0.27), abs=1e-6)


@pytest.mark.parametrize(
    ("gain", "half", "climbs"), [(-0.2, 0.1, False), (-0.2, 0.3, True), (0.2, 0.1, True)]
)
def test_there_is_no_climbing_where_the_gain_has_no_positive_upper_bound(
    gain: float, half: float, climbs: bool
) -> None:
    route = router_of(with_gains(gain, half)).decide(CAPITAL_VECTOR, CAPITAL, [SMALL, LARGE])
    assert (route.rungs[0].bar is not None) is climbs


def test_a_gain_over_a_model_that_was_never_measured_is_open() -> None:
    route = router_of().decide(CAPITAL_VECTOR, CAPITAL, [SMALL, card("new", 1000)])
    assert route.gains == (EscalationGain("small", "new", 0.0, -1.0, 1.0),)


def test_under_a_floor_the_certified_rule_answers_and_nothing_climbs() -> None:
    router = router_of(policy=FLOOR)
    router.prepare([SMALL, LARGE])
    capital, sums = (
        router.decide(vector, request, [SMALL, LARGE])
        for vector, request in ((CAPITAL_VECTOR, CAPITAL), (SUM_VECTOR, SUM))
    )
    assert capital.rungs == (Rung("small"), Rung("large", is_fallback=True))
    assert sums.rungs == (Rung("large"), Rung("small", is_fallback=True))
    assert "small answers, to keep 90.0% of the large model's quality: on 400 calibration rows" in capital.why


def test_a_floor_that_cannot_be_promised_is_the_large_model_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = replace(small_state(), calibration=calibration_rows(20))
    router = router_of(few, policy=FloorPolicy(mode="quality_floor", keep=0.99))
    with caplog.at_level(logging.WARNING):
        router.prepare([SMALL, LARGE])
    route = router.decide(CAPITAL_VECTOR, CAPITAL, [SMALL, LARGE])
    assert route.rungs[0] == Rung("large")
    assert "20 calibration rows are too few to promise 99.0%" in route.why
    assert caplog.text.count("quality_floor is refused, the large model always answers") == 1


def test_under_a_floor_estimates_are_those_of_the_requests_fold() -> None:
    state = small_state()
    folds = tuple(linear_expectation(QUALITY * share).heads for share in (0.5, 0.25))
    router = router_of(replace(state, expectation=replace(state.expectation, folds=folds)), policy=FLOOR)
    fold = int(state.expectation.fold_of([CAPITAL.text()])[0])
    route = router.decide(CAPITAL_VECTOR, CAPITAL, [SMALL, LARGE])
    assert route.estimates[1].quality == pytest.approx(0.97 * (0.5, 0.25)[fold])


def test_under_a_floor_a_model_that_was_never_measured_is_only_a_fallback() -> None:
    route = router_of(policy=FLOOR).decide(CAPITAL_VECTOR, CAPITAL, [card("new", 0.5), SMALL, LARGE])
    assert route.rungs[0] == Rung("small")
    assert Rung("new", is_fallback=True) in route.rungs


def test_under_a_floor_without_the_large_model_another_answers_and_says_so() -> None:
    route = router_of(policy=FLOOR).decide(CAPITAL_VECTOR, TOOLS, [replace(SMALL, tools=True), LARGE])
    assert route.rungs == (Rung("small"),)
    assert route.why == "small answers, large cannot serve it"


def test_a_budget_that_is_overspent_turns_to_the_cheap_model_and_comes_back() -> None:
    router = router_of(policy=BudgetPolicy(mode="budget", usd_per_1k=2.5))
    cards = [SMALL, LARGE]
    before = router.decide(SUM_VECTOR, SUM, cards)
    assert "within 2.5 USD per 1,000 requests" in before.why
    for _ in range(300):
        router.spend(before, 0.01)
    over = router.decide(SUM_VECTOR, SUM, cards)
    assert over.rungs[0] == Rung("small")
    for _ in range(5000):
        router.spend(before, 0.0)
    assert router.decide(SUM_VECTOR, SUM, cards).rungs[0].model == "large"


def test_a_request_that_names_its_model_is_not_of_the_budget() -> None:
    router = router_of(policy=BudgetPolicy(mode="budget", usd_per_1k=2.5))
    before = router.decide(SUM_VECTOR, SUM, [SMALL, LARGE])
    pinned = router.decide(SUM_VECTOR, SUM, [SMALL, LARGE], pinned="large")
    for _ in range(300):
        router.spend(pinned, 0.01)
    assert router.decide(SUM_VECTOR, SUM, [SMALL, LARGE]).rungs == before.rungs


@pytest.mark.parametrize("policy", [Policy(), FLOOR, BudgetPolicy(mode="budget", usd_per_1k=1.5)])
def test_many_are_decided_as_each_one_alone(policy: AnyPolicy) -> None:
    random = np.random.default_rng(0)
    vectors = random.random((60, 2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    requests = [replace(CAPITAL, max_tokens=int(tokens)) for tokens in random.integers(1, 60, 60)]
    requests = [replace(r, messages=(Message("user", "x" * (1 + 7 * i)),)) for i, r in enumerate(requests)]
    middle = card("middle", 20, estimates="large", context_window=40)
    cards = [LARGE, SMALL, middle]
    router = router_of(policy=policy)
    features = router.features([r.text() for r in requests], vectors)
    ladders = router.decide_many(features, requests, cards)
    qualities = router._forecast(features, requests, cards).quality
    for i, (vector, request) in enumerate(zip(vectors, requests, strict=True)):
        route = router.decide(vector, request, cards)
        ladder = [rung for rung in route.rungs if not rung.is_fallback]
        assert cards[ladders.first[i]].name == ladder[0].model
        assert {cards[j].name for j in np.flatnonzero(ladders.is_rung[i])} == {r.model for r in ladder}
        bars = {cards[j].name: ladders.bars[i, j] for j in np.flatnonzero(~np.isnan(ladders.bars[i]))}
        assert bars == pytest.approx({r.model: r.bar for r in ladder if r.bar is not None})
        assert qualities[i] == pytest.approx([estimate.quality for estimate in route.estimates])
    assert len(set(ladders.first.tolist())) > 1


def test_many_are_refused_where_one_of_them_cannot_be_served() -> None:
    router = router_of()
    features = router.features(["a", "b"], np.eye(2))
    with pytest.raises(NoCapableModelError, match="no model of the fleet can serve request 1"):
        router.decide_many(features, [CAPITAL, TOOLS], [SMALL, LARGE])


@pytest.mark.parametrize("policy", [FLOOR, BudgetPolicy(mode="budget", usd_per_1k=1.5)])
async def test_what_is_picked_for_a_new_fleet_is_picked_once_and_beside_the_event_loop(
    policy: AnyPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    picked: list[str] = []
    pick = CalibrationRows.rate_table

    def told(*arguments: Any) -> Any:
        picked.append(threading.current_thread().name)
        return pick(*arguments)

    monkeypatch.setattr(CalibrationRows, "rate_table", told)
    router = router_of(policy=policy)
    router.start()
    router.prepare([SMALL, LARGE])
    picked.clear()
    fewer = [SMALL, card("middle", 10, estimates="large")]
    routes = await asyncio.gather(*(router.route(CAPITAL, fewer) for _ in range(5)))
    assert len(picked) == 1
    assert threading.main_thread().name not in picked
    await router.route(CAPITAL, fewer)
    assert len(picked) == 1
    assert len({route.rungs for route in routes}) == 1
    router.stop()
