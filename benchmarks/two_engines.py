"""Two local models: both engines behind one process, or each behind a process of its own?

vLLM runs every engine in a process of its own either way; what differs is the front end (tokenizing,
detokenizing, our streams). Both ways are up at once and loaded in turn, medians of the repeats are printed as
JSON. Run: python benchmarks/two_engines.py [--repeats 3] [--concurrency 8] [--tokens 48]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from pinnace.bench.hardware import hardware
from pinnace.bench.prompts import long_prompts
from pinnace.bench.worker import answer_lines
from pinnace.config import Engine, VllmMember, load_config
from pinnace.models.completion import Message, Request
from pinnace.models.vllm_backend import VllmBackend

ROUTER_YAML = Path(__file__).resolve().parent.parent / "router.yaml"
KV_CACHE_MIB = 256
SETTLE_S = 1.5


def member() -> VllmMember:
    """The default model, with a small cache so that four of it fit."""
    found = load_config(ROUTER_YAML, {}).fleet[0]
    assert isinstance(found, VllmMember)
    return found.model_copy(update={"engine": Engine(kv_cache_mib=KV_CACHE_MIB)})


async def ask_all(backend: VllmBackend, prompts: list[str], concurrency: int, tokens: int) -> int:
    """Ask every prompt, `concurrency` at once; returns the tokens that were written."""
    left, written = iter(prompts), 0

    async def ask() -> None:
        nonlocal written
        for prompt in left:
            request = Request((Message("user", prompt),), max_tokens=tokens, temperature=0.0, top_logprobs=2)
            spoken = 0
            async for delta in backend.stream(request):
                spoken = delta.usage.completion_tokens if delta.usage else spoken
            written += spoken

    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return written


async def measure(backends: list[VllmBackend], load: dict[str, Any]) -> dict[str, float]:
    """Load all of `backends` at once, each with the same load."""
    prompts = long_prompts(2 * load["concurrency"], seed=load["seed"])
    began, cpu = time.perf_counter(), time.process_time()
    written = await asyncio.gather(
        *(ask_all(backend, prompts, load["concurrency"], load["tokens"]) for backend in backends)
    )
    return {
        "tokens": sum(written),
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


def memory_mib() -> dict[str, float]:
    """Memory of this process and of its engines: proportional, so that what they share counts once."""
    me = psutil.Process()
    found = {"front": me, **{f"engine {at}": p for at, p in enumerate(me.children(recursive=True))}}
    sizes = {name: process.memory_full_info().pss / 2**20 for name, process in found.items()}
    return {name: round(size) for name, size in sizes.items() if size > 50}


class Worker:
    """The child's end: one engine, asked over lines of JSON."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.backend = VllmBackend(member())

    def answer(self, question: dict[str, Any]) -> object:
        if question["ask"] == "start":
            self.runner.run(self.backend.start())
            return None
        if question["ask"] == "memory":
            return memory_mib()
        return self.runner.run(measure([self.backend], question["load"]))


def work() -> None:
    """Run a worker until its standard input ends."""
    with asyncio.Runner() as runner:
        worker = Worker(runner)
        try:
            answer_lines(worker.answer)
        finally:
            runner.run(worker.backend.drain())


class Child:
    """The parent's end of a worker."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "--worker"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603 - ourselves

    def tell(self, question: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    async def hear(self) -> Any:
        assert self.process.stdout is not None
        reply = json.loads(await asyncio.to_thread(self.process.stdout.readline))
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["answer"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


async def both_ways(options: argparse.Namespace) -> dict[str, Any]:
    """Start two engines each way, and load one and two of them in turn."""
    starts: dict[str, list[float]] = {"one process": [], "own processes": []}
    ours = [VllmBackend(member()) for _ in range(2)]
    theirs = [Child() for _ in range(2)]
    memory: dict[str, Any] = {}
    for backend in ours:
        began = time.perf_counter()
        await backend.start()
        starts["one process"].append(time.perf_counter() - began)
    memory["one process"] = memory_mib()
    for child in theirs:
        began = time.perf_counter()
        child.tell({"ask": "start"})
        await child.hear()
        starts["own processes"].append(time.perf_counter() - began)
    for child in theirs:
        child.tell({"ask": "memory"})
    memory["own processes"] = [await child.hear() for child in theirs]
    runs = await repeated(ours, theirs, options)
    for backend in ours:
        await backend.drain()
    for child in theirs:
        child.close()
    return {"starts_s": starts, "memory_mib": memory, "runs": runs}


async def repeated(ours: list[VllmBackend], theirs: list[Child], options: argparse.Namespace) -> Any:
    """Tokens per second of every way, by repeat."""
    runs: dict[str, list[dict[str, float]]] = {}
    for repeat in range(-1, options.repeats):
        load = {
            "seed": repeat + 100,
            "concurrency": options.concurrency,
            "tokens": options.tokens if repeat >= 0 else 4,
        }
        ways = [("one process", "alone", 1), ("own processes", "alone", 1)]
        ways += [("one process", "both", 2), ("own processes", "both", 2)]
        for way, how, count in ways if repeat % 2 == 0 else ways[::-1]:
            await asyncio.sleep(SETTLE_S)
            if way == "one process":
                found = await measure(ours[:count], load)
            else:
                found = await measure_children(theirs[:count], load)
            name = f"{way}, {how}"
            print(
                f"repeat {repeat + 1}: {name}: {found['tokens'] / found['seconds']:.1f} tok/s",
                file=sys.stderr,
            )
            if repeat >= 0:
                runs.setdefault(name, []).append(found)
    return {
        name: {
            "tokens_per_s": round(statistics.median(run["tokens"] / run["seconds"] for run in each), 1),
            "front_cpu_ms_per_token": round(
                statistics.median(1000 * run["cpu_s"] / run["tokens"] for run in each), 3
            ),
            "seconds": [round(run["seconds"], 2) for run in each],
        }
        for name, each in runs.items()
    }


async def measure_children(children: list[Child], load: dict[str, Any]) -> dict[str, float]:
    """The same load on every child at once; the time is that of the whole."""
    began = time.perf_counter()
    for child in children:
        child.tell({"ask": "load", "load": load})
    found = [await child.hear() for child in children]
    return {
        "tokens": sum(each["tokens"] for each in found),
        "seconds": time.perf_counter() - began,
        "cpu_s": sum(each["cpu_s"] for each in found),
    }


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return
    load_before = os.getloadavg()
    found = asyncio.run(both_ways(options))
    machine: Any = hardware()
    print(
        json.dumps(
            {
                "command": " ".join(sys.argv),
                "hardware": asdict(machine) if hasattr(machine, "__dataclass_fields__") else machine,
                "load_before": load_before,
                **found,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
