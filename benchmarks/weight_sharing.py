"""What block-wise weight sharing costs when vLLM serves it unchanged: KV cache and tokens per second.

Writes the model with every layer twice beside a temporary folder, serves both, and loads them in turn; prints
medians of the repeats and their ratios as JSON. Run: python benchmarks/weight_sharing.py [--repeats 3]
[--concurrency 1 8] [--tokens 48]
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pinnace.bench.hardware import hardware
from pinnace.bench.prompts import long_prompts
from pinnace.config import Engine, VllmMember, load_config
from pinnace.models import vllm_backend
from pinnace.models.cache import default_cache
from pinnace.models.completion import Message, Request
from pinnace.models.shapes.card import folder_facts
from pinnace.models.shapes.weight_sharing import share_layers
from pinnace.models.vllm_backend import VllmBackend
from pinnace.models.weights import resolve_weights

ROUTER_YAML = Path(__file__).resolve().parent.parent / "router.yaml"
KV_CACHE_MIB = 512


async def unchecked(*_: object) -> None:
    """In place of the self-test: untrained, a model with repeated layers says nothing clear to check."""


def member(folder: Path) -> VllmMember:
    """The model in `folder`, with a small cache so that two of it fit."""
    found = load_config(ROUTER_YAML, {}).fleet[0]
    assert isinstance(found, VllmMember)
    engine = Engine(kv_cache_mib=KV_CACHE_MIB)
    return found.model_copy(update={"name": folder.name, "weights": (str(folder),), "engine": engine})


async def tokens_per_second(backend: VllmBackend, concurrency: int, tokens: int, seed: int) -> float:
    """Tokens written a second by `concurrency` askers with two prompts each."""
    left, written = iter(long_prompts(2 * concurrency, seed=seed)), 0

    async def ask() -> None:
        nonlocal written
        for prompt in left:
            request = Request((Message("user", prompt),), max_tokens=tokens, temperature=0.0)
            spoken = 0
            async for delta in backend.stream(request):
                spoken = delta.usage.completion_tokens if delta.usage else spoken
            written += spoken

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return written / (time.perf_counter() - began)


def cached_tokens(backend: VllmBackend) -> int:
    """Tokens that the engine's KV cache of `KV_CACHE_MIB` holds."""
    cache = backend._engine.vllm_config.cache_config
    return cache.num_gpu_blocks * cache.block_size


async def compare(backends: dict[str, VllmBackend], options: argparse.Namespace) -> dict[str, Any]:
    """Load both in turn, `--repeats` times at each concurrency."""
    found: dict[str, Any] = {}
    for concurrency in options.concurrency:
        pace: dict[str, list[float]] = {name: [] for name in backends}
        for repeat in range(options.repeats + 1):  # the first round warms up
            for name, backend in backends.items():
                rate = await tokens_per_second(backend, concurrency, options.tokens, seed=repeat)
                if repeat:
                    pace[name].append(rate)
        median = {name: statistics.median(rates) for name, rates in pace.items()}
        ratios = [shared / plain for plain, shared in zip(pace["plain"], pace["shared"], strict=True)]
        found[f"c={concurrency}"] = {
            "tokens_per_second": {name: round(rate, 1) for name, rate in median.items()},
            "shared_to_plain": round(statistics.median(ratios), 3),
            "lowest_and_highest": [round(min(ratios), 3), round(max(ratios), 3)],
        }
    return found


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    configured = load_config(ROUTER_YAML, {}).fleet[0]
    assert isinstance(configured, VllmMember)
    plain = resolve_weights(configured.weights, cache=default_cache()).folder
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"plain": plain, "shared": share_layers(plain, Path(scratch, "shared"))}
        vllm_backend.check_text = unchecked
        backends = {name: VllmBackend(member(folder)) for name, folder in folders.items()}
        try:
            for backend in backends.values():
                await backend.start()
            paces = await compare(backends, options)
            keys = ("layers", "parameters", "distinct_parameters", "weight_bytes", "kv_bytes_per_token")
            cards = {name: folder_facts(folder) for name, folder in folders.items()}
            facts = {name: {key: card[key] for key in keys} for name, card in cards.items()}
            held = {name: cached_tokens(backend) for name, backend in backends.items()}
        finally:
            for backend in backends.values():
                await backend.drain()
    whole = {"hardware": hardware(), "cards": facts, f"tokens_in_{KV_CACHE_MIB}_MiB": held, "pace": paces}
    print(json.dumps(whole, indent=2, default=str))


if __name__ == "__main__":
    asyncio.run(main())
