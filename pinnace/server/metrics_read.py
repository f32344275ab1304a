"""Series that are read off the fleet at each scrape: breakers, retries, and where joules come from.

A backend that has no breaker has no such series. Knows nothing of requests.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pinnace.models.backend import Backend
from pinnace.models.energy.joules import source_of

BREAKER_STATES = ("closed", "half_open", "open")


class BackendSeries(Collector):
    """What is known of each backend now."""

    def __init__(self, backends: Callable[[], Mapping[str, Backend]]) -> None:
        self._backends = backends

    def describe(self) -> Iterator[Metric]:
        """The names, so that a registry need not collect them to know that."""
        return self._series({})

    def collect(self) -> Iterator[Metric]:
        """The series as they stand."""
        return self._series(self._backends())

    def _series(self, backends: Mapping[str, Backend]) -> Iterator[Metric]:
        breakers = GaugeMetricFamily(
            "pinnace_breaker_state", "1 for the state of a backend's breaker", labels=("model", "state")
        )
        retries = _counter("pinnace_retries", "Requests sent to a backend again")
        restarts = _counter("pinnace_engine_restarts", "Engines started again")
        energy = GaugeMetricFamily(
            "pinnace_energy_source_info", "Where a model's joules come from", labels=("model", "source")
        )
        for name, backend in backends.items():
            if (now := _breaker_state(backend)) is not None:
                for state in BREAKER_STATES:
                    breakers.add_metric((name, state), float(state == now))
            for family, counted in ((retries, "retries"), (restarts, "restarts")):
                if (count := _count(backend, counted)) is not None:
                    family.add_metric((name,), count)
            if backend.card.energy is not None:
                energy.add_metric((name, source_of(backend.card.energy)), 1)
        yield from (breakers, retries, restarts, energy)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=("model",))


def _breaker_state(backend: Backend) -> str | None:
    """`closed`, `half_open` or `open`; None for a backend without a breaker."""
    read: Callable[[], str] | None = getattr(backend, "breaker_state", None)
    return None if read is None else read()


def _count(backend: Backend, name: str) -> int | None:
    """A backend's own counter; None where it has none of that name. Wrapped ones show what is inside."""
    found: int | None = getattr(backend, name, None)
    return found
