"""Forecasts in batches: who asks in one turn is forecast together, and each gets its own."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from router_fixtures import AxisEmbedder, small_state
from server_fixtures import member

from pinnace.config import Policy
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Message, Request
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.forecast_queue import MOST, ForecastQueue, Found
from pinnace.router.router import Router
from pinnace.router.types import FloatArray

SMALL, LARGE = (
    card_of(member(name, {"answer": "x"}, price=price), backend="scripted")
    for name, price in (("small", 1), ("large", 100))
)
CAPITAL = Request((Message("user", "What is the capital of France?"),), id="capital")
SUM = Request((Message("user", "What is the sum of 2 and 3?"),), id="sum")
TOWARD = {"capital": np.array([0.0, 1.0]), "sum": np.array([1.0, 0.0])}


class Noting:
    """Forecasts as `router` does, and notes how many requests each time had."""

    def __init__(self, router: Router) -> None:
        self.lots: list[int] = []
        self.fails = False
        self._router = router

    def __call__(self, requests: Sequence[Request], vectors: FloatArray, cards: Sequence[ModelCard]) -> Found:
        self.lots.append(len(requests))
        if self.fails:
            raise ValueError("no forecast")
        return self._router._seen(requests, vectors, cards)


def router_of() -> Router:
    return Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy(alpha=0.75))


@pytest.fixture
def noting() -> Noting:
    return Noting(router_of())


async def test_each_gets_its_own_as_if_alone(noting: Noting) -> None:
    queue, router, cards = ForecastQueue(noting), router_of(), (SMALL, LARGE)
    asked = [CAPITAL, SUM, SUM, CAPITAL]
    found = await asyncio.gather(*(queue.forecast(TOWARD[r.id], r, cards) for r in asked))
    assert noting.lots == [4]
    for request, (features, forecast) in zip(asked, found, strict=True):
        own_features, own = router._seen([request], TOWARD[request.id][None, :], cards)
        assert features == pytest.approx(own_features)
        assert forecast.quality == pytest.approx(own.quality)
        assert forecast.usd == pytest.approx(own.usd)
        assert forecast.clusters.tolist() == own.clusters.tolist()


async def test_other_fleets_are_forecast_apart_and_lots_are_bounded(noting: Noting) -> None:
    queue = ForecastQueue(noting)
    both, small = (SMALL, LARGE), (SMALL,)
    cards = [both, small] * (MOST + 2)
    found = await asyncio.gather(*(queue.forecast(TOWARD["capital"], CAPITAL, each) for each in cards))
    assert [forecast.quality.shape[1] for _, forecast in found] == [len(each) for each in cards]
    assert sorted(noting.lots) == [2, 2, MOST, MOST]


async def test_who_leaves_is_not_forecast(noting: Noting) -> None:
    queue = ForecastQueue(noting)
    leaving = asyncio.create_task(queue.forecast(TOWARD["sum"], SUM, (SMALL,)))
    staying = asyncio.create_task(queue.forecast(TOWARD["sum"], SUM, (SMALL,)))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert noting.lots in ([1], [2])
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await queue.forecast(TOWARD["sum"], SUM, (SMALL,))


async def test_a_failure_belongs_to_those_who_waited(noting: Noting) -> None:
    queue = ForecastQueue(noting)
    noting.fails = True
    asking = [queue.forecast(TOWARD["sum"], SUM, (SMALL,)) for _ in range(2)]
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["no forecast"] * 2
    noting.fails = False
    await queue.forecast(TOWARD["sum"], SUM, (SMALL,))
