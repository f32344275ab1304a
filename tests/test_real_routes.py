"""The fleet that ships, by the router state that ships: whom requests that were never fitted on go to."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pinnace.config import Config, FloorPolicy, load_config
from pinnace.models.completion import Message, Request
from pinnace.models.fleet import Fleet
from pinnace.router.dispatch import make_router
from pinnace.router.route import Route

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent
FLEET = load_config(ROOT / "router.yaml", {})
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather_today",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
INTENT = '"{}"\nWhich intent does this message have? Answer with its name, or "out of scope".'
TYPE = (
    '"{}"\nWhat does this question ask for: abbreviation, description, thing, person, place or number? '
    "Answer with one word."
)


def routes(requests: Sequence[Request]) -> list[str]:
    """Who is asked first, where there is no large model."""
    return [each.rungs[0].model for each in routed(FLEET, requests)]


def routed(config: Config, requests: Sequence[Request]) -> list[Route]:
    router = make_router(config)
    cards = [backend.card for backend in Fleet.from_config(config).backends.values()]

    async def asked() -> list[Route]:
        return [await router.route(request, cards) for request in requests]

    router.start()
    try:
        return asyncio.run(asked())
    finally:
        router.stop()


ASKED = {
    INTENT.format("could you tell me where my parcel is"): "intents",
    INTENT.format("wake me up at nine"): "intents",
    TYPE.format("Who painted the Night Watch?"): "trec",
    TYPE.format("How deep is the lake of Geneva?"): "trec",
    "What is 48 + 77?": "numbers",
    "Mia has 14 marbles and wins 9 more. How many marbles does she have now?": "numbers",
    "What is the capital of France?": "smollm2-135m",
    "Write a short poem about the sea.": "smollm2-135m",
    "Tell me a joke.": "smollm2-135m",
    "I feel sad today. What should I do?": "smollm2-135m",
}
CALLED = ("Is it cold in Oslo?", "What should I wear in Rome today?")


def test_requests_go_to_whom_they_are_for() -> None:
    found = routes([Request((Message("user", text),)) for text in ASKED])
    assert dict(zip(ASKED, found, strict=True)) == ASKED


def test_requests_with_functions_go_to_who_calls_them() -> None:
    assert (
        routes([Request((Message("user", text),), tools=(WEATHER,)) for text in CALLED]) == ["tool_calls"] * 2
    )
    assert "tool_calls" not in routes([Request((Message("user", text),)) for text in CALLED])


def test_a_floor_is_certified_for_the_fleet_with_a_large_model() -> None:
    config = load_config(ROOT / "router.yaml", {"PINNACE_LARGE_URL": "http://x/v1", "PINNACE_LARGE_KEY": "k"})
    floor = config.router.model_copy(update={"policy": FloorPolicy(mode="quality_floor", keep=0.97)})
    told = routed(
        config.model_copy(update={"router": floor}),
        [
            Request((Message("user", text),))
            for text in (INTENT.format("wake me up at nine"), "Who was Napoleon?")
        ],
    )
    assert [each.rungs[0].model for each in told] == ["intents", "large"]
    assert all("calibration rows" in each.why and "too few" not in each.why for each in told)
