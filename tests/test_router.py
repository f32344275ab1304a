"""The router: estimates worked out by hand, needs that strike out, and the routes that follow."""

import logging
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest
from router_fixtures import AxisEmbedder, small_state
from server_fixtures import member

from pinnace.config import Policy
from pinnace.errors import NoCapableModelError, StateError
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Message, Request, Usage
from pinnace.router.clusters import Clusters
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.gate import sigmoid
from pinnace.router.policy import exchange_rate
from pinnace.router.route import ClusterMatch, ModelEstimate, Rung
from pinnace.router.router import UNKNOWN_SD, Router
from pinnace.router.state import RouterState


def card(name: str, price: float, **fields: object) -> ModelCard:
    return replace(card_of(member(name, {"answer": "x"}, price=price), backend="scripted"), **fields)


SMALL, LARGE = card("small", 1), card("large", 100)
CAPITAL = Request((Message("user", "What is the capital of France?"),))
SUM = Request((Message("user", "What is the sum of 2 and 3?"),))
TOOLS = replace(CAPITAL, tools=({"type": "function"},))


def router_of(state: RouterState | None = None, alpha: float = 0.75) -> Router:
    return Router(state or small_state(), EmbeddingQueue(AxisEmbedder()), Policy(alpha=alpha))


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
        ModelEstimate("large", pytest.approx(0.97), pytest.approx(0.02), LARGE.cost(Usage(prompt, 20))),
    )


async def test_no_more_tokens_are_expected_than_are_asked_for_and_for_each_choice(router: Router) -> None:
    route = await router.route(replace(CAPITAL, max_tokens=4, n=3), [SMALL])
    prompt = len(CAPITAL.text()) // 4 + 4
    assert route.estimates[0].cost_usd == pytest.approx(SMALL.cost(Usage(prompt, 12)))


def test_between_two_clusters_estimates_are_weighted_by_likeness() -> None:
    router = router_of()
    route = router.decide(np.array([1.0, 1.0]) / np.sqrt(2), CAPITAL, [SMALL])
    assert [match.weight for match in route.clusters] == pytest.approx([0.5, 0.5])
    assert route.estimates[0].quality == pytest.approx((0.15 + 0.8) / 2)
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


def test_lambda_is_of_the_gap_between_the_dearest_and_the_cheapest() -> None:
    rate = router_of(alpha=0.6).rate([LARGE, card("middle", 10, estimates="small"), SMALL], 0.002)
    assert rate == pytest.approx(exchange_rate(0.6, 0.96 - 0.5, 0.002))


def test_the_order_of_the_fleet_changes_no_route() -> None:
    vector = np.array([0.0, 1.0])
    one, other = (router_of().decide(vector, CAPITAL, cards) for cards in ([SMALL, LARGE], [LARGE, SMALL]))
    assert one.rungs == other.rungs


def test_confidence_is_the_mean_over_the_choices() -> None:
    router = router_of()
    route = router.decide(np.array([0.0, 1.0]), CAPITAL, [SMALL, LARGE])
    blank = Evidence(**dict.fromkeys(FEATURES, 0.0))
    evidence = [replace(blank, mean=-0.5), replace(blank, mean=-1.0)]
    expected = (sigmoid(2 - 4 * 0.5) + sigmoid(2 - 4 * 1.0)) / 2
    for is_whole in (True, False):
        assert router.judge(route, SMALL, evidence, is_whole=is_whole) == pytest.approx(expected)


def test_without_a_gate_the_estimate_is_the_confidence() -> None:
    router = router_of()
    route = router.decide(np.array([0.0, 1.0]), CAPITAL, [SMALL, LARGE])
    blank = Evidence(**dict.fromkeys(FEATURES, 0.0))
    assert router.judge(route, LARGE, [blank], is_whole=True) == pytest.approx(0.97)


def test_a_state_of_another_embedder_is_refused() -> None:
    said = "the router state was fitted with embedder 'other', got 'axes'"
    with pytest.raises(StateError, match=said):
        router_of(small_state(embedder="other"))
