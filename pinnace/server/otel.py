"""Traces by OpenTelemetry: the only module that imports it, and only where tracing is configured.

Has a provider of its own, so that what the libraries beside us trace is neither caught nor changed.
"""

import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pinnace.models.completion import Request
from pinnace.router.answer import Attempt
from pinnace.router.needs import wants_json
from pinnace.router.route import Route
from pinnace.server.sight import Sight

_Value = str | bool | int | float
_PROVIDERS = {"openai": "openai", "vllm": "vllm", "scripted": "scripted"}
_OPERATIONS = {"/v1/embeddings": "embeddings", "/v1/completions": "text_completion"}
_TRACE_CONTEXT = TraceContextTextMapPropagator()
EXPORT_S = 5.0
"""Seconds that one export may take, with its retries; the stop of the server waits for the last one."""


class OtelTracing:
    """Traces requests. `processor` gets every span that is sampled.

    :param backends: what kind of backend each fleet member has.
    """

    def __init__(
        self, processor: SpanProcessor, backends: Callable[[], Mapping[str, str]], sample: float = 1.0
    ) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample)),
            resource=Resource.create({"service.name": "pinnace"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("pinnace")
        self._backends = backends

    def begin(self, sight: Sight, parent: str) -> str:
        """See `pinnace.server.tracing.Tracing`."""
        context = _TRACE_CONTEXT.extract({"traceparent": parent}, Context()) if parent else Context()
        sight.span = self._tracer.start_span("request", context, SpanKind.SERVER)
        carrier: dict[str, str] = {}
        _TRACE_CONTEXT.inject(carrier, set_span_in_context(sight.span, Context()))
        return carrier.get("traceparent", "")

    def end(self, sight: Sight, model: str, code: int) -> None:
        """See `pinnace.server.tracing.Tracing`."""
        span = sight.span
        assert isinstance(span, Span), "a request that ends has begun"
        if span.is_recording():
            self._tell(span, sight, model, code)
        span.end()

    def close(self) -> None:
        """See `pinnace.server.tracing.Tracing`."""
        self._provider.shutdown()

    def _tell(self, span: Span, sight: Sight, model: str, code: int) -> None:
        """The attributes of a request, and the spans inside it."""
        span.update_name(f"POST {sight.path}")
        span.set_attributes(_of_request(sight, model, code))
        if code >= 500:
            span.set_status(StatusCode.ERROR)
        inside, offset = set_span_in_context(span, Context()), time.time_ns() - time.perf_counter_ns()
        if sight.route is not None and sight.route.began:
            self._decision(inside, offset, sight.route)
        for attempt in sight.attempts:
            self._rung(inside, offset, sight, attempt)

    def _decision(self, inside: Context, offset: int, route: Route) -> None:
        began = _ns(route.began, offset)
        attributes = {"pinnace.route": route.strategy, "pinnace.familiarity": route.familiarity}
        span = self._tracer.start_span("decide", inside, attributes=attributes, start_time=began)
        if route.embed_s:
            embedding = self._tracer.start_span(
                "embed", set_span_in_context(span, Context()), start_time=began
            )
            embedding.end(_ns(route.began + route.embed_s, offset))
        span.end(_ns(route.began + route.decision_s, offset))

    def _rung(self, inside: Context, offset: int, sight: Sight, attempt: Attempt) -> None:
        backend = self._backends().get(attempt.model, "")
        operation = operation_of(sight.path)
        span = self._tracer.start_span(
            f"{operation} {attempt.model}",
            inside,
            SpanKind.CLIENT if backend == "openai" else SpanKind.INTERNAL,
            attributes=_of_attempt(attempt, sight.request, operation, backend),
            start_time=_ns(attempt.times.began, offset),
        )
        if attempt.verdict == "failed":
            span.set_status(StatusCode.ERROR)
        span.end(_ns(attempt.times.ended, offset))


def exporting(endpoint: str) -> SpanProcessor:
    """Sends spans in batches to an OTLP collector over HTTP, from a thread of its own."""
    exporter: SpanExporter = OTLPSpanExporter(endpoint, timeout=EXPORT_S)
    return BatchSpanProcessor(exporter)


def operation_of(path: str) -> str:
    """What the conventions call what is asked for at `path`."""
    return _OPERATIONS.get(path, "chat")


def _of_request(sight: Sight, model: str, code: int) -> dict[str, _Value]:
    found: dict[str, _Value] = {
        "http.request.method": "POST",
        "http.response.status_code": code,
        "http.route": sight.path,
        "gen_ai.operation.name": operation_of(sight.path),
        "gen_ai.request.model": sight.asked,
        "gen_ai.response.model": model,
        "pinnace.route": sight.strategy,
        "pinnace.queue_s": sight.queue_s,
        "pinnace.cost_usd": sight.cost_usd,
    }
    if code >= 500:
        found["error.type"] = str(code)
    if sight.first_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = sight.first_s
    return found


def _of_attempt(attempt: Attempt, request: Request | None, operation: str, backend: str) -> dict[str, _Value]:
    found: dict[str, _Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(backend, "pinnace"),
        "gen_ai.request.model": attempt.model,
        "gen_ai.response.model": attempt.model,
        "gen_ai.usage.input_tokens": attempt.usage.prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": attempt.usage.cached_tokens,
        "gen_ai.usage.output_tokens": attempt.usage.completion_tokens,
        "gen_ai.response.time_to_first_chunk": attempt.times.first_s,
        "pinnace.verdict": attempt.verdict,
        "pinnace.confidence": attempt.confidence,
        "pinnace.bar": attempt.bar,
        "pinnace.cost_usd": attempt.cost_usd,
        "error.type": "backend" if attempt.verdict == "failed" else None,
    }
    if request is not None:
        found |= _of_parameters(request)
    return {name: value for name, value in found.items() if value is not None}


def _of_parameters(request: Request) -> dict[str, _Value | None]:
    return {
        "gen_ai.response.id": request.id,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.frequency_penalty": request.frequency_penalty or None,
        "gen_ai.request.presence_penalty": request.presence_penalty or None,
        "gen_ai.request.choice.count": request.n if request.n > 1 else None,
        "gen_ai.output.type": "json" if wants_json(request) else None,
    }


def _ns(perf_counter_s: float, offset: int) -> int:
    """A moment of `time.perf_counter` as nanoseconds of the Unix epoch."""
    return round(perf_counter_s * 1e9) + offset
