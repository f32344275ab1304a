"""What the endpoint counts, for Prometheus: every series that is observed as requests go by.

In a registry of its own: vLLM wipes the default one. Labels are fleet members, statuses and fixed
words, never anything that a client sent. What is read off other objects at each scrape (queues, breakers)
is in `pinnace.server.metrics_read`.
"""

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pinnace.models.backend import Backend
from pinnace.router.answer import Attempt, Committed
from pinnace.router.route import Route
from pinnace.server.metrics_read import BackendSeries
from pinnace.server.sight import Sight
from pinnace.server.tally import Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1)
_SLOW_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
PRIORITIES = ("interactive", "batch")


class Metrics:
    """Every series of the endpoint, in one registry."""

    def __init__(
        self,
        *,
        running: Callable[[], float],
        queued: Callable[[], float],
        backends: Callable[[], Mapping[str, Backend]] = dict,
    ) -> None:
        self.registry = CollectorRegistry()
        self._backends = backends
        self.registry.register(BackendSeries(backends))
        self._gauge("pinnace_running", "Requests that run now", running)
        self._gauge("pinnace_queued", "Requests that wait for a place", queued)
        self._count_requests()
        self._count_attempts()
        self._decision = self._tally("pinnace_decision_seconds", "From text to route", _FAST_S)
        self._queue = Histogram(
            "pinnace_queue_seconds",
            "Wait for a place",
            ("priority",),
            buckets=_SLOW_S,
            registry=self.registry,
        )
        self._first_token = self._tally(
            "pinnace_first_token_seconds", "From arrival to the first byte of a stream", _SLOW_S
        )
        self.gaps = self._tally("pinnace_inter_token_seconds", "Between two chunks of a stream", _FAST_S)
        self._total = self._tally("pinnace_request_seconds", "From arrival to the last byte", _SLOW_S)
        self._overhead = self._tally(
            "pinnace_overhead_seconds", "Total time of routed requests less the wait for backends", _FAST_S
        )
        self.loop_lag = self._tally(
            "pinnace_event_loop_lag_seconds", "How late the event loop woke a sleeping task", _FAST_S
        )
        self._batches = self._tally("pinnace_embedding_batch_size", "Texts embedded together", _SIZES)
        self._embedding = self._tally("pinnace_embedding_seconds", "Time to embed one batch", _FAST_S)

    def _count_requests(self) -> None:
        self._requests = self._counter(
            "pinnace_requests",
            "Requests by the model that answered, kind of route and status",
            "model",
            "route",
            "code",
        )
        self._refusals = self._counter("pinnace_refusals", "Requests refused, by error code", "reason")
        self._cache = self._counter("pinnace_cache", "Requests that the cache was asked for", "outcome")
        self._escalations = self._counter(
            "pinnace_escalations", "Answers that a small model's doubt gave to a larger one", "model"
        )

    def _count_attempts(self) -> None:
        self._attempts = self._counter("pinnace_attempts", "Rungs tried, by how it ended", "model", "verdict")
        self._aborts = self._counter(
            "pinnace_aborts", "Completions aborted in their backend before their end", "model", "verdict"
        )
        self._tokens = self._counter("pinnace_tokens", "Tokens spent, drafts included", "model", "kind")
        self._joules = self._counter(
            "pinnace_estimated_joules", "Energy by figures per token, whose source is told", "model"
        )
        self._measured = self._counter("pinnace_measured_joules", "Energy that a meter gave", "model")
        self._cost = self._counter("pinnace_cost_usd", "US dollars spent, drafts included", "model")

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def routed(self, route: Route) -> None:
        """A route was chosen."""
        self._decision.observe(route.decision_s)

    def served(self, attempts: Sequence[Attempt], committed: Committed | None) -> None:
        """A route is over, however it ended: charge every attempt of it."""
        for attempt in attempts:
            model, verdict = attempt.model, attempt.verdict
            self._attempts.labels(model, verdict).inc()
            if verdict in ("abandoned", "climbed") and not attempt.is_whole:
                self._aborts.labels(model, verdict).inc()
            self._tokens.labels(model, "prompt").inc(attempt.usage.prompt_tokens)
            self._tokens.labels(model, "completion").inc(attempt.usage.completion_tokens)
            self._cost.labels(model).inc(attempt.cost_usd)
            if attempt.joules is not None:
                counter = self._joules if attempt.usage.joules is None else self._measured
                counter.labels(model).inc(attempt.joules)
        if committed is not None and committed.escalated:
            self._escalations.labels(committed.model).inc()

    def refused(self, reason: str) -> None:
        """The server did not take a request."""
        self._refusals.labels(reason).inc()

    def finished(self, sight: Sight, model: str, code: int) -> None:
        """A request is over, however it ended; `model` answered it."""
        self._requests.labels(model, sight.strategy, str(code)).inc()
        self._total.observe(sight.elapsed())
        if sight.cache:
            self._cache.labels(sight.cache).inc()
        if sight.first_s is not None:
            self._first_token.observe(sight.first_s)
        if sight.request is not None:
            self._queue.labels(PRIORITIES[sight.request.priority]).observe(sight.queue_s)
        if sight.attempts:
            self._overhead.observe(sight.overhead())

    def embedded(self, texts: int, seconds: float) -> None:
        """A batch of so many texts was embedded; called on the embedder's thread."""
        self._batches.observe(texts)
        self._embedding.observe(seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _tally(self, name: str, text: str, bounds: tuple[float, ...]) -> Tally:
        tally = Tally(name, text, bounds)
        self.registry.register(tally)
        return tally

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)
