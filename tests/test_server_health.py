"""Health and metrics: what an operator and a load balancer see, without a key."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_fixtures import ASK, ASK_HARD, House, eventually, house, member

from pinnace.config import Energy
from pinnace.models.fleet import MemberStatus

CHAT = "/v1/chat/completions"


async def metrics_of(place: House) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values, those in the order of the labels' names."""
    async with place.http() as http:
        text = (await http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for s in samples}


async def chat(place: House, **fields: object) -> int:
    async with place.http() as http:
        body = {"model": "auto", "messages": ASK, **fields}
        return (await http.post(CHAT, json=body)).status_code


async def test_health_and_metrics_need_no_key() -> None:
    async with house(api_keys=["secret"]) as place, place.http() as http:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await http.get(path)).status_code == 200
        for path in ("/v1/models", "/nothing", "/health/../v1/models", "//health/live"):
            assert (await http.get(path)).status_code == 401


async def test_ready_tells_of_every_backend() -> None:
    async with house() as place, place.http() as http:
        place.dispatcher.fleet.status["large"] = MemberStatus("failed", "no key")
        response = await http.get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "backends": {
            "small": {"state": "ready", "detail": ""},
            "large": {"state": "failed", "detail": "no key"},
        },
    }


async def test_not_ready_while_starting_but_alive() -> None:
    async with house() as place, place.http() as http:
        for name in ("small", "large"):
            place.dispatcher.fleet.status[name] = MemberStatus("starting")
        ready, live = await http.get("/health/ready"), await http.get("/health/live")
        models = await http.get("/v1/models")
    assert (ready.status_code, ready.headers["retry-after"], ready.json()["status"]) == (503, "5", "starting")
    assert live.json() == {"status": "live"}
    assert models.json()["data"] == []


async def test_the_list_of_models_has_what_the_tokens_of_members_take() -> None:
    async with house() as place, place.http() as http:
        small = place.backend("small")
        small.card = replace(small.card, energy=Energy(input=1, output=2, source="a watt meter"), votes=8)
        data = (await http.get("/v1/models")).json()["data"]
        large = (await http.get("/v1/models/large")).json()
    told = {model["id"]: model.get("pinnace") for model in data}
    assert told == {
        "auto": None,
        "small": {"price": {"input": 1, "output": 1}, "energy": {"input": 1, "output": 2}, "votes": 8},
        "large": {"price": {"input": 10, "output": 10}},
    }
    assert large["pinnace"] == told["large"]


async def test_not_ready_while_draining() -> None:
    async with house() as place, place.http() as http:
        place.app.close(retry_after=1)
        response = await http.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "draining")


async def test_metrics_count_requests_tokens_cost_and_escalations() -> None:
    async with house() as place:
        await chat(place)
        await chat(place, messages=ASK_HARD)
        await chat(place, messages=ASK_HARD, stream=True)
        seen = await metrics_of(place)
    assert seen["pinnace_requests_total", "200", "small", "cascade"] == 1
    assert seen["pinnace_requests_total", "200", "large", "cascade"] == 2
    assert seen["pinnace_escalations_total", "large"] == 2
    assert seen["pinnace_tokens_total", "completion", "large"] == 6
    assert seen["pinnace_tokens_total", "prompt", "small"] == 6 + 7 + 7
    assert seen["pinnace_cost_usd_total", "large"] == pytest.approx(2 * 10 * 10e-6)
    assert seen["pinnace_request_seconds_count",] == 3
    assert seen["pinnace_decision_seconds_count",] == 3
    assert seen["pinnace_first_token_seconds_count",] == 1


async def test_metrics_count_refusals_and_failures_without_what_clients_sent() -> None:
    async with house(member("only", {"answer": "a b c d e", "fault": "cut", "fault_after": 4})) as place:
        await chat(place, model="made-up-by-a-client")
        await chat(place, n="many")
        await chat(place, stream=True)
        place.app.close(retry_after=1)
        await chat(place)
        seen = await metrics_of(place)
    assert seen["pinnace_requests_total", "404", "none", "none"] == 1
    assert seen["pinnace_requests_total", "400", "none", "none"] == 1
    assert seen["pinnace_requests_total", "503", "only", "pinned"] == 1
    assert seen["pinnace_requests_total", "503", "none", "none"] == 1
    assert seen["pinnace_refusals_total", "draining"] == 1
    assert not any("made-up-by-a-client" in label for key in seen for label in key)


async def test_gauges_follow_what_runs_and_waits() -> None:
    async with house(member("only", {"answer": "x", "fault": "stall"}), max_running=1) as place:
        tasks = [asyncio.create_task(chat(place)) for _ in range(3)]
        await eventually(lambda: place.app.admission.queued == 2)
        seen = await metrics_of(place)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (seen["pinnace_running",], seen["pinnace_queued",]) == (1, 2)
