"""The load: a closed loop that every side of the bench is put under, and what it measures.

Knows nothing of engines or of HTTP: it is given the one question "answer this prompt".
"""

import asyncio
import math
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Load:
    """`concurrency` askers share `prompts`; each takes the next one when it has its answer."""

    concurrency: int
    prompts: tuple[str, ...]
    max_tokens: int


def load_of(fields: Mapping[str, Any]) -> Load:
    """A load from its fields, as JSON has them."""
    return Load(fields["concurrency"], tuple(fields["prompts"]), fields["max_tokens"])


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: tokens generated, and when its first one was there, on `time.perf_counter`.

    `first` is None where an answer comes in one piece.
    """

    tokens: int
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a load. Times in seconds; `began` and `ended` on the wall clock.

    `short` counts answers that ended before `max_tokens`. `cpu_s` is CPU time of the process with the
    engine's front end, `client_cpu_s` that of the load client where it is another process.
    """

    began: float
    ended: float
    seconds: float
    requests: int
    tokens: int
    short: int
    latency_p50_s: float
    latency_p99_s: float
    first_token_p50_s: float | None
    first_token_p99_s: float | None
    cpu_s: float
    client_cpu_s: float | None = None

    @property
    def tokens_per_s(self) -> float:
        """Goodput: tokens of whole answers over the time from the first question to the last answer."""
        return self.tokens / self.seconds


Ask = Callable[[str, int], Awaitable[Answer]]
"""Answers the prompt of a load; the number says which of its askers asks, counted from 0."""


@dataclass(frozen=True, slots=True)
class _Timed:
    answer: Answer
    asked: float
    ended: float


async def drive(load: Load, ask: Ask) -> Measured:
    """Put `load` on whatever `ask` asks. The first failure ends it, and is raised."""
    began, cpu, start = time.time(), cpu_seconds(), time.perf_counter()
    waiting, timed = iter(load.prompts), list[_Timed]()
    try:
        async with asyncio.TaskGroup() as askers:
            for number in range(load.concurrency):
                askers.create_task(_ask_on(number, waiting, ask, timed))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    seconds = time.perf_counter() - start
    return _measured(load, timed, began, seconds, cpu_seconds() - cpu)


async def _ask_on(number: int, waiting: Iterator[str], ask: Ask, timed: list[_Timed]) -> None:
    for prompt in waiting:
        asked = time.perf_counter()
        timed.append(_Timed(await ask(prompt, number), asked, time.perf_counter()))


def _measured(load: Load, timed: Sequence[_Timed], began: float, seconds: float, cpu_s: float) -> Measured:
    latencies = [each.ended - each.asked for each in timed]
    firsts = [each.answer.first - each.asked for each in timed if each.answer.first is not None]
    return Measured(
        began=began,
        ended=time.time(),
        seconds=seconds,
        requests=len(timed),
        tokens=sum(each.answer.tokens for each in timed),
        short=sum(each.answer.tokens < load.max_tokens for each in timed),
        latency_p50_s=percentile(latencies, 50),
        latency_p99_s=percentile(latencies, 99),
        first_token_p50_s=percentile(firsts, 50) if firsts else None,
        first_token_p99_s=percentile(firsts, 99) if firsts else None,
        cpu_s=cpu_s,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` in a hundred do not exceed (nearest rank)."""
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def cpu_seconds() -> float:
    """CPU time that this process has spent, all threads."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
