"""A histogram for the hot path: one bisection and two additions an observation, and no lock.

Prometheus' own takes a lock and walks its buckets. One thread observes into a tally; whoever reads it
from another may miss the last observation and nothing else. Knows nothing of what is measured.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts observations in buckets, for a Prometheus registry to collect.

    :param bounds: the buckets' upper bounds, rising; one without a bound follows the last.
    """

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self.name = name
        self._text = text
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self._counts)

    def describe(self) -> Iterator[Metric]:
        """Its name, so that a registry need not collect it to know that."""
        yield HistogramMetricFamily(self.name, self._text)

    def collect(self) -> Iterator[Metric]:
        """The histogram as it stands."""
        names = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self.name, self._text, buckets=buckets, sum_value=self._sum)
