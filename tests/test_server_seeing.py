"""What an operator sees of requests: series, log lines and headers, and that none of them tells content."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

import pytest
from server_fixtures import ASK, ASK_HARD, House, eventually, house, member
from test_server_health import chat, metrics_of
from test_supervisor import Engine

from pinnace.config import Energy, ScriptedMember
from pinnace.models.gated import GatedBackend
from pinnace.models.places import Places
from pinnace.models.supervisor import Supervisor
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.server.logs import JsonLine
from pinnace.server.loop_lag import watching_the_loop
from pinnace.server.metrics import Metrics
from pinnace.server.tally import Tally

CHAT = "/v1/chat/completions"
SLOW = {"answer": "one two three four five six", "first_token_s": 0.05, "token_s": 0.02, "probability": 0.95}


def with_energy(name: str) -> ScriptedMember:
    declared = Energy(input=100, output=400, source="a watt meter, 2026-11-01")
    return member(name, {"answer": "a b c"}).model_copy(update={"energy": declared})


async def asked(place: House, **fields: object) -> Mapping[str, str]:
    async with place.http() as http:
        return (await http.post(CHAT, json={"model": "auto", "messages": ASK, **fields})).headers


@pytest.mark.parametrize("stream", [False, True])
async def test_overhead_is_what_no_backend_was_waited_for(stream: bool) -> None:
    async with house(member("only", SLOW)) as place:
        began = time.perf_counter()
        await chat(place, stream=stream)
        total = time.perf_counter() - began
        seen = await metrics_of(place)
    assert total > 0.05 + 6 * 0.02
    assert seen["pinnace_overhead_seconds_count",] == 1
    assert 0 < seen["pinnace_overhead_seconds_sum",] < total - 0.15


async def test_times_between_chunks_are_those_of_the_backend() -> None:
    async with house(member("only", SLOW)) as place:
        await chat(place, stream=True)
        await chat(place)
        seen = await metrics_of(place)
    gaps, total = seen["pinnace_inter_token_seconds_count",], seen["pinnace_inter_token_seconds_sum",]
    assert gaps == 5  # six chunks before the end: the opening leaves with the first of six words
    assert total > 3 * 0.02


async def test_attempts_and_aborts_are_counted_by_how_they_ended() -> None:
    async with house() as place:
        await chat(place, messages=ASK_HARD)
        await chat(place, messages=ASK_HARD, stream=True)
        seen = await metrics_of(place)
    assert seen["pinnace_attempts_total", "small", "climbed"] == 2
    assert seen["pinnace_attempts_total", "large", "accepted"] == 2
    assert seen["pinnace_aborts_total", "small", "climbed"] == 1  # the whole answer had nothing left to abort
    assert ("pinnace_aborts_total", "large", "accepted") not in seen


async def test_an_answer_whose_client_left_is_an_abort_and_is_charged() -> None:
    async with house(member("only", {"answer": "a b c d e f", "fault": "stall", "fault_after": 4})) as place:
        task = asyncio.create_task(chat(place, stream=True))
        await eventually(lambda: place.backend("only").running == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        seen = await metrics_of(place)
    assert seen["pinnace_aborts_total", "only", "abandoned"] == 1
    assert seen["pinnace_tokens_total", "completion", "only"] == 4


async def test_the_wait_for_a_place_is_counted_by_priority() -> None:
    async with house(member("only", SLOW), max_running=1) as place:
        await asyncio.gather(chat(place), chat(place))
        seen = await metrics_of(place)
    assert seen["pinnace_queue_seconds_count", "interactive"] == 2
    assert seen["pinnace_queue_seconds_sum", "interactive"] > 0.1


async def test_energy_is_counted_where_it_is_declared_and_nowhere_else() -> None:
    async with house(with_energy("metered"), member("other", {"answer": "a"})) as place:
        await chat(place, model="metered")
        await chat(place, model="other")
        seen = await metrics_of(place)
    words = sum(len(str(turn["content"]).split()) for turn in ASK)
    assert seen["pinnace_estimated_joules_total", "metered"] == pytest.approx((words * 100 + 3 * 400) / 1000)
    assert seen["pinnace_energy_source_info", "metered", "declared: a watt meter, 2026-11-01"] == 1
    assert not any("other" in key for key in seen if "joules" in key[0] or "energy" in key[0])


class Remote:
    """A backend with a breaker, as far as metrics look."""

    retries = 3

    def __init__(self, state: str) -> None:
        self.card = member("x", {"answer": "a"})
        self.state = state

    def breaker_state(self) -> str:
        return self.state


@pytest.mark.parametrize("is_gated", [False, True])
@pytest.mark.parametrize("state", ["closed", "half_open", "open"])
def test_a_breaker_is_in_one_state_and_its_retries_are_counted(state: str, is_gated: bool) -> None:
    backend: Any = Remote(state)
    gate = Places(max_running=1, max_tokens=1, max_waiting=1)
    backends = {"remote": GatedBackend(backend, gate) if is_gated else backend}
    metrics = Metrics(running=lambda: 0, queued=lambda: 0, backends=lambda: backends)
    value = metrics.registry.get_sample_value
    states = {
        each: value("pinnace_breaker_state", {"model": "remote", "state": each})
        for each in ("closed", "half_open", "open")
    }
    assert states == {each: float(each == state) for each in states}
    assert value("pinnace_retries_total", {"model": "remote"}) == 3
    assert value("pinnace_engine_restarts_total", {"model": "remote"}) is None


@pytest.mark.parametrize("is_gated", [False, True])
def test_engines_that_were_started_again_are_counted(is_gated: bool) -> None:
    supervisor = Supervisor(Engine())
    supervisor.restarts = 2
    gate = Places(max_running=1, max_tokens=1, max_waiting=1)
    backends = {"small": GatedBackend(supervisor, gate) if is_gated else supervisor}
    metrics = Metrics(running=lambda: 0, queued=lambda: 0, backends=lambda: backends)
    assert metrics.registry.get_sample_value("pinnace_engine_restarts_total", {"model": "small"}) == 2


def lag_sum(lag: Tally) -> float:
    (family,) = lag.collect()
    return next(sample.value for sample in family.samples if sample.name == "lag_sum")


async def test_a_blocked_event_loop_shows() -> None:
    lag = Tally("lag", "text", (0.01, 0.05))
    async with watching_the_loop(lag, every_s=0.01):
        await eventually(lambda: lag.count >= 2)
        before = lag_sum(lag)
        time.sleep(0.1)  # noqa: ASYNC251 - the fault under test
        await asyncio.sleep(0.02)
    assert lag_sum(lag) - before > 0.08


async def test_batches_of_embeddings_are_counted() -> None:
    metrics = Metrics(running=lambda: 0, queued=lambda: 0)
    queue = EmbeddingQueue(HashingEmbedder())
    queue.on_batch = metrics.embedded
    queue.start()
    await asyncio.gather(*(queue.embed(f"text {i}") for i in range(5)))
    await asyncio.to_thread(queue.stop)
    assert metrics.registry.get_sample_value("pinnace_embedding_batch_size_sum") == 5
    assert metrics.registry.get_sample_value("pinnace_embedding_seconds_sum") > 0


async def test_headers_tell_how_it_was_routed_and_what_that_took() -> None:
    async with house() as place:
        whole, streamed = await asked(place), await asked(place, stream=True)
        refused = await asked(place, n="many")
    for headers in (whole, streamed):
        assert (headers["x-pinnace-strategy"], headers["x-pinnace-decision-ms"]) == ("cascade", "1.000")
    assert 0 < float(whole["x-pinnace-overhead-ms"]) < 1000
    assert "x-pinnace-overhead-ms" not in streamed
    assert "x-pinnace-strategy" not in refused


async def test_a_request_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as place:
        with caplog.at_level(logging.INFO, "pinnace.requests"):
            await chat(place, messages=ASK_HARD, stream=True, user="somebody")
            await chat(place, model="made-up-by-a-client")
    first, second = (record for record in caplog.records if record.name == "pinnace.requests")
    said = json.loads(JsonLine().format(first))
    times = {name: said.pop(name) for name in list(said) if name.endswith("_ms")}
    assert set(times) == {"total_ms", "queue_ms", "decision_ms", "first_token_ms", "overhead_ms"}
    assert 0 < times["first_token_ms"] <= times["total_ms"]
    assert said.pop("id").startswith("req-")
    assert said.pop("completion").startswith("chatcmpl-")
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "info",
        "logger": "pinnace.requests",
        "path": CHAT,
        "status": 200,
        "model": "large",
        "route": "cascade",
        "asked": "auto",
        "tried": "small>large",
        "chunks": 3,
        "prompt_tokens": 14,
        "completion_tokens": 6,
        "cost_usd": pytest.approx(10e-6 + 100e-6),
    }
    assert f"completion={first.fields['completion']} asked=auto tried=small>large" in first.getMessage()  # type: ignore[attr-defined]
    assert "somebody" not in first.getMessage()
    assert second.fields["status"] == 404  # type: ignore[attr-defined]
    assert "made-up-by-a-client" not in second.getMessage()


def test_a_json_line_is_one_line_with_its_traceback_inside() -> None:
    raised = (ValueError, ValueError("inside"), None)
    record = logging.LogRecord("pinnace", logging.ERROR, "x", 1, "large: %s", ("a\nERROR b\r",), raised)
    line = JsonLine().format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert (said["level"], said["message"], said["exception"]) == (
        "error",
        "large: a\nERROR b\r",
        "ValueError: inside",
    )


async def test_an_answer_from_the_cache_is_a_route_of_its_own() -> None:
    async with house(member("only", {"answer": "a b c"}), cache={"everyone": True}) as place:
        for _ in range(3):
            await chat(place, temperature=0)
        await chat(place, temperature=1)
        seen = await metrics_of(place)
    assert (seen["pinnace_cache_total", "miss"], seen["pinnace_cache_total", "hit"]) == (1, 2)
    assert seen["pinnace_requests_total", "200", "only", "cached"] == 2
    assert seen["pinnace_requests_total", "200", "only", "pinned"] == 2
    assert seen["pinnace_tokens_total", "completion", "only"] == 6


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/completions", {"model": "only", "prompt": "What is the capital of France?"}),
        ("/v1/responses", {"model": "only", "input": "What is the capital of France?"}),
    ],
)
async def test_every_endpoint_that_asks_a_model_is_seen(path: str, fields: Mapping[str, object]) -> None:
    async with house(member("only", {"answer": "a b c"})) as place, place.http() as http:
        whole = await http.post(path, json=fields)
        streamed = await http.post(path, json={**fields, "stream": True})
        seen = await metrics_of(place)
    assert (whole.status_code, streamed.status_code) == (200, 200)
    assert whole.headers["x-pinnace-strategy"] == "pinned"
    assert seen["pinnace_requests_total", "200", "only", "pinned"] == 2
    assert seen["pinnace_first_token_seconds_count",] == 1
    assert seen["pinnace_overhead_seconds_count",] == 2
    assert seen["pinnace_tokens_total", "completion", "only"] == 6
