"""Four adapters and their base in one engine: what they cost, and whether each answers in a batch as alone.

One engine on CPU; our products and vLLM's own (`pinnace.models.adapters.plugin`) take turns in it, on prompts
that it has not seen, with adapters of random weights, whose answers never end early; medians of the repeats
are compared. Then, with the specialists that ship, every greedy answer of a mixed batch is compared with the
same request alone: each is asked prompts of the suite that it was made for, the base of general knowledge.
Prints JSON. Run: python benchmarks/adapters.py [--repeats 3] [--requests 200] [--no-flat]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pinnace.bench.hardware import hardware
from pinnace.bench.prompts import SYSTEM, long_prompts
from pinnace.config import Engine, VllmMember, load_config
from pinnace.eval.asking import request_of
from pinnace.eval.example import sample
from pinnace.eval.suites import read_suite
from pinnace.models.adapters.intake import take_in
from pinnace.models.completion import Message, Request, TokenLogprob
from pinnace.models.vllm_backend import VllmBackend
from pinnace.models.weights import default_cache

ROOT = Path(__file__).resolve().parent.parent
C, TOKENS = 32, 64
PARTS = 8
"""Prompts in one, so that a prompt to be read is some 300 tokens long."""
PREFILLS = 8
"""Prompts of one measurement of prefill: vLLM's own products take a minute for as many as a batch has."""
ANSWER = 16
BASE_SUITE = "basic_facts"
SUITES = {"intents": "clinc150", "trec": "trec", "numbers": "svamp", "tool_calls": "bfcl_simple"}
"""What each shipped specialist is asked, by its folder's name."""
STRENGTH = 1.0
"""Of random adapters: each has a text of its own, if one without sense."""
CASES = ("base", "one", "mixed")
KERNELS = ("ours", "stock")


def member(*, is_flat: bool) -> VllmMember:
    """The default model."""
    found = load_config(ROOT / "router.yaml", {}).fleet[0]
    assert isinstance(found, VllmMember)
    return found.model_copy(update={"engine": Engine(kv_cache_mib=512, max_lora_rank=16, flat=is_flat)})


def random_adapters(folder: Path) -> list[Path]:
    """Four adapters of random weights, rank 16 on all linear layers, as the tests have them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from adapter_fixtures import random_adapter

    return [random_adapter(folder / f"a{seed}", seed, strength=STRENGTH) for seed in range(4)]


class Trial:
    """One started engine with its adapters' numbers."""

    def __init__(self, backend: VllmBackend, numbers: list[int]) -> None:
        self._backend = backend
        self.numbers = numbers
        self._seed = 0

    def adapters(self, case: str, count: int) -> list[int]:
        """Who answers each of `count` requests; 0 is the base."""
        among = {"base": [0], "one": self.numbers[:1], "mixed": [0, *self.numbers]}[case]
        return [among[at % len(among)] for at in range(count)]

    async def use(self, kernel: str) -> None:
        """Have the engine multiply by our products, or by vLLM's own."""
        await self._backend._engine.collective_rpc("multiply_adapters", args=(kernel == "ours",))

    async def ask(self, prompt: str, adapter: int, tokens: int) -> tuple[list[TokenLogprob], int]:
        """A greedy answer's tokens, and how many tokens its prompt had."""
        messages = (Message("system", SYSTEM), Message("user", prompt))
        said: list[TokenLogprob] = []
        read = 0
        request = Request(messages, max_tokens=tokens, temperature=0.0, top_logprobs=2, adapter=adapter)
        async for delta in self._backend.stream(request):
            said += delta.logprobs
            read = delta.usage.prompt_tokens if delta.usage else read
        return said, read

    async def speed(self, case: str, phase: str) -> float:
        """Tokens per second: written with `C` requests at once, or read."""
        self._seed += 1
        count, tokens = (C, TOKENS) if phase == "decode" else (PREFILLS, 1)
        parts = 1 if phase == "decode" else PARTS
        drawn = iter(long_prompts(count * parts, seed=self._seed))
        prompts = [" ".join(next(drawn) for _ in range(parts)) for _ in range(count)]
        began = time.perf_counter()
        asked = zip(prompts, self.adapters(case, count), strict=True)
        found = await asyncio.gather(*(self.ask(prompt, adapter, tokens) for prompt, adapter in asked))
        seconds = time.perf_counter() - began
        return sum(len(said) if phase == "decode" else read for said, read in found) / seconds

    async def answer(self, request: Request) -> list[TokenLogprob]:
        """The tokens of a greedy answer."""
        return [token async for delta in self._backend.stream(request) for token in delta.logprobs]

    async def agreement(self, asked: Sequence[Request]) -> dict[str, Any]:
        """How many answers of a mixed batch are to the letter what the same request says alone."""
        places = asyncio.Semaphore(C)

        async def beside_others(request: Request) -> list[TokenLogprob]:
            async with places:
                return await self.answer(request)

        mixed = await asyncio.gather(*map(beside_others, asked))
        alone = [await self.answer(request) for request in asked]
        parted = [lead_where_parted(*pair) for pair in zip(alone, mixed, strict=True)]
        leads = [
            {"adapter": request.adapter, "lead_nats": round(lead, 4)}
            for request, lead in zip(asked, parted, strict=True)
            if lead is not None
        ]
        return {"requests": len(asked), "to_the_letter": 1 - len(leads) / len(asked), "parted": leads}


def mixed_requests(folders: Sequence[Path], numbers: Sequence[int], count: int, data: Path) -> list[Request]:
    """`count` requests, of the base and every adapter in turn."""
    names = [BASE_SUITE, *(SUITES[folder.name] for folder in folders)]
    lines = [
        [
            replace(request_of(e.asking, e.prompt, name=e.id, max_tokens=ANSWER, seed=0), adapter=number)
            for e in sample(read_suite(name, data), -(-count // len(names)), seed=number)
        ]
        for name, number in zip(names, [0, *numbers], strict=True)
    ]
    return list(islice((request for turn in zip(*lines, strict=True) for request in turn), count))


def lead_where_parted(alone: list[TokenLogprob], mixed: list[TokenLogprob]) -> float | None:
    """Nats by which the likeliest token leads, alone, where the answers part; None where they do not."""
    for one, other in zip(alone, mixed, strict=False):
        if one.token != other.token:
            return one.top[0][1] - one.top[1][1]
    return None


@asynccontextmanager
async def started(folders: Sequence[Path], *, is_flat: bool) -> AsyncGenerator[Trial, None]:
    """An engine with these adapters."""
    backend = VllmBackend(member(is_flat=is_flat), len(folders))
    await backend.start()
    assert backend.folder is not None
    try:
        adapters = [
            take_in(str(folder), base=backend.folder, max_rank=16, cache=default_cache())
            for folder in folders
        ]
        yield Trial(backend, [await backend.load_adapter(each.digest, each.folder) for each in adapters])
    finally:
        await backend.drain()


async def measure(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Take every figure."""
    async with started(random_adapters(scratch), is_flat=options.flat) as trial:
        figures = await speeds(trial, options.repeats)
    shipped = [ROOT / "adapters" / name for name in SUITES]
    async with started(shipped, is_flat=options.flat) as trial:
        asked = mixed_requests(shipped, trial.numbers, options.requests, options.data)
        agreement = await trial.agreement(asked)
    return {
        "ratios": ratios(figures),
        "agreement": agreement,
        "tokens_per_second": figures,
        "flat": options.flat,
        "hardware": asdict(hardware()),
    }


async def speeds(trial: Trial, repeats: int) -> dict[str, float]:
    """Medians by kernel, case and phase, all in turn; the first round only warms up."""
    taken: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        for kernel in KERNELS:
            await trial.use(kernel)
            for case in CASES:
                for phase in ("decode", "prefill"):
                    found = await trial.speed(case, phase)
                    print(f"{turn} {kernel} {case} {phase}: {found:.0f} tokens/s", file=sys.stderr)
                    if turn:
                        taken.setdefault(f"{kernel} {case} {phase}", []).append(found)
    return {name: round(statistics.median(values), 1) for name, values in taken.items()}


def ratios(figures: dict[str, float]) -> dict[str, float]:
    """What is published."""
    pairs = {
        "mixed_over_base_decode": ("ours mixed decode", "ours base decode"),
        "one_over_base_decode": ("ours one decode", "ours base decode"),
        "mixed_over_base_prefill": ("ours mixed prefill", "ours base prefill"),
        "mixed_decode_over_stock": ("ours mixed decode", "stock mixed decode"),
        "one_prefill_over_stock": ("ours one prefill", "stock one prefill"),
        "mixed_prefill_over_stock": ("ours mixed prefill", "stock mixed prefill"),
    }
    return {name: round(figures[ours] / figures[other], 3) for name, (ours, other) in pairs.items()}


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "tasks")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--no-flat", dest="flat", action="store_false", help="without the flat decoder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(asyncio.run(measure(Path(scratch), options)), indent=1))


if __name__ == "__main__":
    main()
