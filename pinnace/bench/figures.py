"""The arithmetic of the bench: from raw runs to medians and ratios. Pure.

A ratio is taken within each repeat, where both sides met the machine in the same mood, and the median
is taken over the repeats. It need not be the quotient of the two medians that stand beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pinnace.bench.load import Measured, percentile

DIRECT, ENDPOINT, STREAM, STOCK = "direct", "endpoint", "endpoint_stream", "stock"
BARS: Mapping[str, tuple[str, float]] = {
    "goodput_ratio_c32": ("at least", 0.95),
    "goodput_ratio_c32_stream": ("at least", 0.90),
    "ours_over_stock_c1": ("at least", 1.25),
    "ours_over_stock_c32": ("at least", 1.35),
    "batch32_over_batch1": ("at least", 6.0),
    "decision_p50_ms": ("at most", 15.0),
}
"""What a release must reach on an idle machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """One side, at one concurrency, in one repeat; `neighbours` is the cores that others kept busy."""

    side: str
    concurrency: int
    repeat: int
    measured: Measured
    neighbours: float | None = None


def goodput(runs: Iterable[Run], side: str, concurrency: int) -> float | None:
    """Median tokens per second; None where there is no such run."""
    found = _rates(runs, side, concurrency)
    return median(found.values()) if found else None


def ratio(runs: Sequence[Run], over: tuple[str, int], under: tuple[str, int]) -> float | None:
    """Median over the repeats of one side's goodput over another's; None where either is missing.

    :param over: side and concurrency above the line.
    :param under: side and concurrency below it.
    """
    above, below = _rates(runs, *over), _rates(runs, *under)
    pairs = [above[repeat] / below[repeat] for repeat in above.keys() & below.keys()]
    return median(pairs) if pairs else None


def figures(
    runs: Sequence[Run], decisions_s: Sequence[float], loaded_s: Sequence[float] = ()
) -> dict[str, float | None]:
    """The figures by name; None where what they compare was not run.

    :param decisions_s: seconds per routing decision, one at a time, the engine idle.
    :param loaded_s: the same, of the requests through the endpoint at the highest concurrency.
    """
    found: dict[str, float | None] = {}
    for c in concurrencies(runs):
        found[f"goodput_ratio_c{c}"] = ratio(runs, (ENDPOINT, c), (DIRECT, c))
        found[f"goodput_ratio_c{c}_stream"] = ratio(runs, (STREAM, c), (DIRECT, c))
        found[f"ours_over_stock_c{c}"] = ratio(runs, (DIRECT, c), (STOCK, c))
    found["batch32_over_batch1"] = ratio(runs, (DIRECT, 32), (DIRECT, 1))
    for name, seconds in (("decision", decisions_s), ("decision_loaded", loaded_s)):
        for percent in (50, 99):
            found[f"{name}_p{percent}_ms"] = percentile(seconds, percent) * 1000 if seconds else None
    return {name: value if value is None else round(value, 4) for name, value in found.items()}


def concurrencies(runs: Iterable[Run]) -> list[int]:
    """Those that were run, lowest first."""
    return sorted({run.concurrency for run in runs})


def is_met(name: str, value: float) -> bool:
    """Whether a figure that has a bar reaches it."""
    kind, bar = BARS[name]
    return value >= bar if kind == "at least" else value <= bar


def _rates(runs: Iterable[Run], side: str, concurrency: int) -> dict[int, float]:
    """Tokens per second by repeat."""
    return {
        run.repeat: run.measured.tokens_per_s
        for run in runs
        if run.side == side and run.concurrency == concurrency
    }
