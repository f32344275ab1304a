"""One whole bench: starts every side, puts them under the same loads in turn, and reports.

Interleaved: within a repeat each side answers the same prompts one after the other, and every second
repeat goes backwards, so that neither a warm nor a drifting machine favours a side.
"""

import asyncio
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnace.bench.client import Target
from pinnace.bench.direct import Direct
from pinnace.bench.endpoint import Endpoint
from pinnace.bench.figures import DIRECT, ENDPOINT, STREAM, Run, concurrencies, figures
from pinnace.bench.hardware import hardware, versions
from pinnace.bench.house import HOST, House, local_config, local_member, serving
from pinnace.bench.load import Load
from pinnace.bench.neighbours import Neighbours
from pinnace.bench.prompts import long_prompts, varied_prompts
from pinnace.bench.report import Report
from pinnace.bench.settings import settings_in_force, without_settings
from pinnace.bench.side import Side
from pinnace.bench.stock import Stock, StockEngine
from pinnace.bench.worker import Worker
from pinnace.config import Config, VllmMember
from pinnace.models.completion import Message, Request
from pinnace.models.supervisor import plain
from pinnace.models.vllm_backend import VllmBackend
from pinnace.models.weights import default_cache, resolve_weights
from pinnace.router.dispatch import AUTO, Dispatcher
from pinnace.router.ledger import read_ledger

WAVES = {1: 8, 8: 4}
"""Requests per asker; 4 where it does not say."""
WARM_UP_TOKENS = 16
SETTLE_S = 1.5
"""Engine workers spin for a second after their last step: the next side waits until they sleep."""
DECISIONS = 200

Watch = Callable[[str], None]
"""Told what comes next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    concurrencies: tuple[int, ...] = (1, 8, 32)
    repeats: int = 3
    max_tokens: int = 64
    with_stock: bool = True

    def load(self, concurrency: int, repeat: int) -> Load:
        """The load of one repeat: new prompts in every repeat, the same for every side."""
        prompts = long_prompts(concurrency * WAVES.get(concurrency, 4), seed=1000 * repeat + concurrency)
        return Load(concurrency, prompts, self.max_tokens)

    def warm_up(self, concurrency: int) -> Load:
        """One short wave, whose figures nobody sees."""
        return Load(concurrency, long_prompts(concurrency, seed=-concurrency), WARM_UP_TOKENS)


async def bench(config: Config, plan: Plan, watch: Watch) -> Report:
    """Run the whole bench, and leave nothing behind.

    :raises ConfigError: when the fleet has no local model.
    :raises BackendError: when a side cannot start, or fails.
    """
    machine, before = hardware(), dict(os.environ)  # as they are before our engine adds its settings
    member = local_member(config)
    with tempfile.TemporaryDirectory() as scratch:
        local = local_config(config, member, Path(scratch))
        watch("starting our engine")
        async with serving(local) as house, interruptible():
            settings = settings_in_force()
            watch("timing the router's decisions")
            decisions = await decide(house.dispatcher)
            async with opened(house, plan, without_settings(before), Path(scratch), watch) as sides:
                runs = await measure(sides, plan, watch)
            stock = next((side for side in sides if isinstance(side, Stock)), None)
        loaded = decisions_under_load(local.ledger.path, runs)
    return Report(
        command=shlex.join(["pinnace", *sys.argv[1:]]),
        model=member.name,
        max_tokens=plan.max_tokens,
        hardware=machine,
        versions=versions(),
        settings=settings,
        stock_settings=None if stock is None else stock.settings,
        figures=figures(runs, decisions, loaded),
        decisions_s=decisions,
        runs=runs,
    )


async def measure(sides: Sequence[Side], plan: Plan, watch: Watch, settle_s: float = SETTLE_S) -> list[Run]:
    """Warm every side up, then put all of them under every load in turn."""
    for concurrency in plan.concurrencies:
        for side in sides:
            watch(f"warming up: {side.name}, {concurrency} at once")
            await side.run(plan.warm_up(concurrency))
    runs: list[Run] = []
    for repeat in range(plan.repeats):
        for concurrency in plan.concurrencies:
            load = plan.load(concurrency, repeat)
            for side in sides if repeat % 2 == 0 else tuple(reversed(sides)):
                watch(f"repeat {repeat + 1} of {plan.repeats}: {side.name}, {concurrency} at once")
                await asyncio.sleep(settle_s)
                neighbours = Neighbours()
                measured = await side.run(load)
                runs.append(Run(side.name, concurrency, repeat, measured, neighbours.cores()))
    return runs


async def decide(dispatcher: Dispatcher, count: int = DECISIONS) -> list[float]:
    """Seconds per routing decision, one at a time, after a few that are not counted."""
    prompts = varied_prompts(count)
    requests = [Request((Message("user", prompt),), max_tokens=64) for prompt in (*prompts[:10], *prompts)]
    routes = [await dispatcher.route(request) for request in requests]
    return [route.decision_s for route in routes[10:]]


def decisions_under_load(ledger: Path, runs: Sequence[Run]) -> list[float]:
    """Seconds per routing decision of the requests through the endpoint at the highest concurrency."""
    highest = max(concurrencies(runs))
    spans = [
        (run.measured.began, run.measured.ended)
        for run in runs
        if run.concurrency == highest and run.side in (ENDPOINT, STREAM)
    ]
    rows = read_ledger(ledger)
    return [row.decision_s for row in rows if any(began <= row.created <= ended for began, ended in spans)]


@asynccontextmanager
async def opened(
    house: House, plan: Plan, environ: Mapping[str, str], scratch: Path, watch: Watch
) -> AsyncGenerator[list[Side], None]:
    """Every side that `plan` asks for, ready; their processes end with the block."""
    backend = plain(*house.dispatcher.fleet.backends.values())
    assert isinstance(backend, VllmBackend)
    engine: Any = backend._engine  # pyright: ignore[reportPrivateUsage]
    tokenizer = backend._tokenizer  # pyright: ignore[reportPrivateUsage]
    assert tokenizer is not None, "the endpoint is ready, so its backend has started"
    async with AsyncExitStack() as stack:
        client = await Worker.start("pinnace.bench.client", environ, scratch)
        stack.push_async_callback(client.close)
        target = Target(HOST, house.port, AUTO, stream=False)
        sides: list[Side] = [
            Direct(DIRECT, engine, tokenizer),
            Endpoint(ENDPOINT, client, target, engine),
            Endpoint(STREAM, client, Target(HOST, house.port, AUTO, stream=True), engine),
        ]
        if plan.with_stock:
            watch("starting the stock engine")
            worker = await Worker.start("pinnace.bench.stock", environ, scratch)
            stack.push_async_callback(worker.close)
            stock = Stock(worker)
            await stock.start(await _same_as(engine, house.member))
            sides.append(stock)
        yield sides


async def _same_as(engine: Any, member: VllmMember) -> StockEngine:
    """What the stock engine is to have in common with `engine`."""
    weights = await asyncio.to_thread(resolve_weights, member.weights, cache=default_cache())
    return StockEngine(
        folder=str(weights.folder),
        dtype=member.engine.dtype,
        enforce_eager=bool(engine.model_config.enforce_eager),
        kv_cache_memory_bytes=member.engine.kv_cache_mib * 2**20,
        max_model_len=engine.model_config.max_model_len,
    )


@asynccontextmanager
async def interruptible() -> AsyncGenerator[None, None]:
    """Cancel the block on SIGINT or SIGTERM; the server, left to itself, would finish its requests."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    yield
