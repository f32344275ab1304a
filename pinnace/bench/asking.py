"""Asking flows of a client in another process, and the arithmetic on what they were told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from pinnace.bench.asker import Flow, Told
from pinnace.bench.load import percentile
from pinnace.bench.worker import Worker


async def ask(client: Worker, *flows: Flow) -> Mapping[str, Sequence[Told]]:
    """Let all flows ask at once; what each was told, by its name, in order of their ends."""
    found = await client.ask({"flows": [asdict(flow) for flow in flows]})
    return {name: [Told(*each) for each in told] for name, told in found["told"].items()}


async def ask_one(client: Worker, flow: Flow) -> Sequence[Told]:
    """Let one flow ask."""
    return (await ask(client, flow))[flow.name]


def latencies_ms(told: Iterable[Told]) -> list[float]:
    """Of whole answers."""
    return [1000 * each.latency_s for each in told if each.is_whole]


def firsts_ms(told: Iterable[Told]) -> list[float]:
    """Times to the first text, of whole streams."""
    return [1000 * each.first_s for each in told if each.is_whole and each.first_s is not None]


def p50(values: Sequence[float]) -> float:
    """The median."""
    return percentile(values, 50)


def p99(values: Sequence[float]) -> float:
    """What one in a hundred exceeds."""
    return percentile(values, 99)
