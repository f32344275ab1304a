"""What the endpoint counts, for Prometheus.

In a registry of its own: vLLM wipes the default one. Labels are fleet members, statuses and fixed
words, never anything that a client sent.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pinnace.router.answer import Answered

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1)
_SLOW_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Every series of the endpoint, in one registry."""

    def __init__(self, *, running: Callable[[], float], queued: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._gauge("pinnace_running", "Requests that run now", running)
        self._gauge("pinnace_queued", "Requests that wait for a place", queued)
        self._requests = self._counter(
            "pinnace_requests", "Chat requests by the model that answered and status", "model", "code"
        )
        self._refusals = self._counter("pinnace_refusals", "Requests refused, by error code", "reason")
        self._escalations = self._counter(
            "pinnace_escalations", "Answers that a small model's doubt gave to a larger one", "model"
        )
        self._tokens = self._counter(
            "pinnace_tokens", "Tokens spent in finished answers, drafts included", "model", "kind"
        )
        self._cost = self._counter(
            "pinnace_cost_usd", "US dollars spent in finished answers, drafts included", "model"
        )
        self._decision = self._histogram("pinnace_decision_seconds", "From text to route", _FAST_S)
        self._first_token = self._histogram(
            "pinnace_first_token_seconds", "From arrival to the first byte of a stream", _SLOW_S
        )
        self._total = self._histogram("pinnace_request_seconds", "From arrival to the last byte", _SLOW_S)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def decided(self, seconds: float) -> None:
        """A route was chosen."""
        self._decision.observe(seconds)

    def streaming(self, seconds: float) -> None:
        """The first byte of a stream left, so long after its request came."""
        self._first_token.observe(seconds)

    def answered(self, answered: Answered) -> None:
        """An answer is whole: charge every attempt of it."""
        for attempt in answered.attempts:
            self._tokens.labels(attempt.model, "prompt").inc(attempt.usage.prompt_tokens)
            self._tokens.labels(attempt.model, "completion").inc(attempt.usage.completion_tokens)
            self._cost.labels(attempt.model).inc(attempt.cost_usd)
        if answered.escalated:
            self._escalations.labels(answered.model).inc()

    def refused(self, reason: str) -> None:
        """The server did not take a request."""
        self._refusals.labels(reason).inc()

    def finished(self, model: str, code: int, seconds: float) -> None:
        """A chat request is over, however it ended."""
        self._requests.labels(model, str(code)).inc()
        self._total.observe(seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)
