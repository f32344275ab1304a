"""The histogram of the hot path, held against Prometheus' own."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from pinnace.server.tally import Tally

BOUNDS = (0.001, 0.01, 0.5, 1)


def lines_of(registry: CollectorRegistry) -> set[str]:
    """The samples, without the comments and the time of creation that only Prometheus' own has."""
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if not line.startswith("#") and "_created" not in line}


@given(st.lists(st.sampled_from([0.0, 0.0005, *BOUNDS, 0.7, 3.0, 100.0])))
def test_it_says_what_prometheus_own_says(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("x_seconds", "text", BOUNDS)
    ours.register(tally)
    histogram = Histogram("x_seconds", "text", buckets=BOUNDS, registry=theirs)
    for value in values:
        tally.observe(value)
        histogram.observe(value)
    assert tally.count == len(values)
    assert lines_of(ours) == lines_of(theirs)
