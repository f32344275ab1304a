"""Traces, with OpenTelemetry's own exporter into memory: who hangs on whom, what is said, and no content."""

import json
import re
from collections.abc import AsyncGenerator

import pytest
from server_fixtures import ASK, ASK_HARD, House, house, member

from pinnace.config import Tracing
from pinnace.errors import ConfigError
from pinnace.models.completion import Request
from pinnace.router.route import Route
from pinnace.server.metrics import Metrics
from pinnace.server.sight import Sight
from pinnace.server.tracing import NO_TRACING, incoming, make_tracing
from pinnace.server.watch import Watch

sdk = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = PARENT[:-1] + "0"
BROKEN = {"answer": "a b", "fault": "refuse"}


class Traced:
    """A house whose spans can be read."""

    def __init__(self, place: House) -> None:
        from pinnace.server.otel import OtelTracing

        self.place = place
        self._spans = memory.InMemorySpanExporter()
        kinds = {name: b.card.backend for name, b in place.dispatcher.fleet.backends.items()}
        tracing = OtelTracing(sdk.SimpleSpanProcessor(self._spans), lambda: kinds)
        place.app.watch = place.dispatcher.watcher = Watch(place.app.metrics, tracing)

    async def ask(self, parent: str | None = None, **fields: object) -> int:
        body = {"model": "auto", "messages": ASK, **fields}
        headers = {} if parent is None else {"traceparent": parent}
        async with self.place.http() as http:
            return (await http.post("/v1/chat/completions", json=body, headers=headers)).status_code

    def spans(self) -> dict[str, "memory.ReadableSpan"]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    def asked(self, name: str) -> Request:
        return self.place.backend(name).requests[-1]


@pytest.fixture
async def traced() -> AsyncGenerator[Traced, None]:
    async with house() as place:
        yield Traced(place)


async def test_a_climb_is_one_trace_under_the_clients_span(traced: Traced) -> None:
    assert await traced.ask(PARENT, messages=ASK_HARD, max_tokens=64, temperature=0.5) == 200
    spans = traced.spans()
    request = spans["POST /v1/chat/completions"]
    assert sorted(spans) == ["POST /v1/chat/completions", "chat large", "chat small"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {PARENT.split("-")[1]}
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    for name in ("chat small", "chat large"):
        span = spans[name]
        assert span.parent.span_id == request.context.span_id
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time
    assert spans["chat small"].end_time <= spans["chat large"].start_time


async def test_a_rung_has_the_names_of_the_conventions(traced: Traced) -> None:
    await traced.ask(messages=ASK_HARD, max_tokens=64, temperature=0.5, seed=7, stream=True)
    spans = traced.spans()
    said = dict(spans["chat small"].attributes)
    assert said.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert said.pop("gen_ai.response.id").startswith("chatcmpl-")
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "small",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 3,
        "pinnace.verdict": "climbed",
        "pinnace.confidence": pytest.approx(0.2),
        "pinnace.bar": 0.5,
        "pinnace.cost_usd": pytest.approx(10e-6),
    }
    request = spans["POST /v1/chat/completions"].attributes
    assert request["gen_ai.request.model"] == "auto"
    assert request["gen_ai.response.model"] == "large"
    assert request["http.response.status_code"] == 200
    assert request["gen_ai.response.time_to_first_chunk"] > 0


async def test_no_span_has_content(traced: Traced) -> None:
    await traced.ask(messages=ASK_HARD, stop=["zebra"], user="somebody", metadata={"a": "giraffe"})
    await traced.ask(model="made-up-by-a-client")
    told = json.dumps([json.loads(span.to_json()) for span in traced._spans.get_finished_spans()])
    for secret in ("meaning", "42", "zebra", "somebody", "giraffe", "made-up-by-a-client"):
        assert not re.search(rf'"[^"]*\b{secret}\b[^"]*"', told), secret


async def test_backends_are_told_of_the_requests_own_span(traced: Traced) -> None:
    await traced.ask(PARENT)
    span = traced.spans()["POST /v1/chat/completions"]
    own = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
    assert traced.asked("small").trace_headers == (("traceparent", own),)


async def test_a_parent_that_is_not_sampled_is_not_traced_and_still_passed_on(traced: Traced) -> None:
    await traced.ask(NOT_SAMPLED)
    assert traced.spans() == {}
    ((name, passed),) = traced.asked("small").trace_headers
    assert name == "traceparent"
    assert passed.split("-")[1::2] == [NOT_SAMPLED.split("-")[1], "00"]


async def test_failures_are_marked() -> None:
    async with house(member("only", BROKEN)) as place:
        traced = Traced(place)
        assert await traced.ask() == 503
        spans = traced.spans()
    assert spans["chat only"].status.status_code.name == "ERROR"
    assert spans["chat only"].attributes["error.type"] == "backend"
    assert spans["POST /v1/chat/completions"].attributes["error.type"] == "503"


async def test_a_path_that_does_not_exist_is_not_named(traced: Traced) -> None:
    async with traced.place.http() as http:
        await http.post("/v1/my-secret", json={})
    assert sorted(traced.spans()) == ["POST unknown"]


async def test_without_tracing_the_clients_parent_is_passed_on_as_it_is() -> None:
    async with house() as place, place.http() as http:
        for parent in (PARENT, "nonsense"):
            body = {"model": "auto", "messages": ASK}
            await http.post("/v1/chat/completions", json=body, headers={"traceparent": parent})
        first, second = place.backend("small").requests
    assert first.trace_headers == (("traceparent", PARENT),)
    assert second.trace_headers == ()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        PARENT.upper().encode(),
        PARENT.encode() + b"-x",
        b"\xff",
    ],
)
def test_a_parent_that_is_not_one_is_left_out(value: bytes) -> None:
    assert incoming([(b"traceparent", value)]) == ""
    assert incoming([(b"traceparent", PARENT.encode())]) == PARENT


def test_tracing_is_off_by_default() -> None:
    assert make_tracing(Tracing(), dict) is NO_TRACING


def test_tracing_without_opentelemetry_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pinnace.server.otel", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'pinnace[otel]'")):
        make_tracing(Tracing(otlp_endpoint="http://127.0.0.1:4318/v1/traces"), dict)


def test_the_decision_and_its_embedding_are_spans_of_their_own() -> None:
    from pinnace.server.otel import OtelTracing

    spans = memory.InMemorySpanExporter()
    tracing = OtelTracing(sdk.SimpleSpanProcessor(spans), dict)
    sight = Sight(path="/v1/chat/completions")
    tracing.begin(sight, PARENT)
    sight.route = Route((), "single", "why", decision_s=0.010, began=sight.began, embed_s=0.008)
    tracing.end(sight, "small", 200)
    tracing.close()
    found = {span.name: span for span in spans.get_finished_spans()}
    decide, embed = found["decide"], found["embed"]
    assert decide.parent.span_id == found["POST /v1/chat/completions"].context.span_id
    assert embed.parent.span_id == decide.context.span_id
    assert decide.end_time - decide.start_time == pytest.approx(10e6, abs=1000)
    assert embed.end_time - embed.start_time == pytest.approx(8e6, abs=1000)
    assert decide.attributes["pinnace.route"] == "single"


async def test_what_is_left_is_written_when_the_server_stops() -> None:
    from pinnace.server.otel import OtelTracing

    spans = memory.InMemorySpanExporter()
    tracing = OtelTracing(sdk.BatchSpanProcessor(spans, schedule_delay_millis=60_000), dict)
    async with Watch(Metrics(running=lambda: 0, queued=lambda: 0), tracing).at_work():
        sight = Sight(path="/v1/chat/completions")
        tracing.begin(sight, "")
        tracing.end(sight, "small", 200)
        assert spans.get_finished_spans() == ()
    assert len(spans.get_finished_spans()) == 1
