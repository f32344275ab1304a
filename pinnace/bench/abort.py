"""From a client's hang-up to its freed place in the real engine.

The engine is given one place. While a long answer runs, a short one waits in the engine's own queue; its
client hangs up, and what is timed is the first token of the one that waited, less the time that the same
engine takes for a first token when it is idle and asked directly. Nothing looks into the engine.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from pinnace.bench.client import Target
from pinnace.bench.direct import Direct, forget_prefixes
from pinnace.bench.hang_up import SHORT_TOKENS, HungUp
from pinnace.bench.house import HOST, local_config, local_member, serving
from pinnace.bench.load import Load
from pinnace.bench.prompts import long_prompts
from pinnace.bench.run import interruptible
from pinnace.bench.trial import Bars, Figures, Trial, Watch, repeated
from pinnace.bench.worker import Worker
from pinnace.config import Config, VllmMember
from pinnace.models.supervisor import plain
from pinnace.models.vllm_backend import VllmBackend
from pinnace.router.dispatch import AUTO

CLIENT = "pinnace.bench.hang_up"
SETTLE_S = 0.1
"""How long the engine is left alone before its prefixes are forgotten."""
BARS: Bars = {"freed_over_a_step_p50_ms": ("at most", 50.0), "freed_over_a_step_most_ms": ("at most", 50.0)}
SETTING = (
    "From a client's hang-up to the freed place of the real engine, which has one: the first token of the\n"
    "request that waited, less an idle engine's own first token (freed), less one step as well (over_a_step)."
)


async def abort(config: Config, repeats: int, requests: int, watch: Watch) -> Trial:
    """Run the trial, `requests` hang-ups in each repeat.

    :raises ConfigError: when the fleet has no local model.
    """
    member = of_one_place(local_member(config))
    with TemporaryDirectory() as name:
        scratch, environ = Path(name), dict(os.environ)
        watch("abort: starting the engine")
        async with serving(local_config(config, member, scratch)) as house, interruptible():
            backend = plain(*house.dispatcher.fleet.backends.values())
            assert isinstance(backend, VllmBackend)
            engine: Any = backend._engine  # pyright: ignore[reportPrivateUsage]
            tokenizer = backend._tokenizer  # pyright: ignore[reportPrivateUsage]
            assert tokenizer is not None, "the endpoint is ready, so its backend has started"
            direct = Direct("direct", engine, tokenizer)
            client = await Worker.start(CLIENT, environ, scratch)
            target = asdict(Target(HOST, house.port, AUTO, stream=True))
            try:

                async def once(repeat: int) -> Figures:
                    prompts = long_prompts(3 * requests, seed=repeat)
                    idle = await _idle_first_ms(direct, prompts[2 * requests :])
                    found: list[HungUp] = []
                    for long, short in zip(prompts[:requests], prompts[requests : 2 * requests], strict=True):
                        await forget_prefixes(engine)
                        told = await client.ask({"target": target, "long": long, "short": short})
                        found.append(HungUp(told["first_s"], tuple(told["gaps_s"])))
                        await asyncio.sleep(SETTLE_S)
                    return figures(found, idle)

                await once(-1)  # to warm everything up
                return await repeated("abort", SETTING, BARS, repeats, once, watch)
            finally:
                await client.close()


def of_one_place(member: VllmMember) -> VllmMember:
    """`member` with an engine that runs one request at a time."""
    return member.model_copy(update={"engine": member.engine.model_copy(update={"max_sequences": 1})})


def figures(found: Sequence[HungUp], idle_ms: float) -> Figures:
    """What came of the hang-ups.

    :param idle_ms: what an idle engine takes for a first token.
    """
    steps = [1000 * median(each.gaps_s) for each in found]
    freed = [1000 * each.first_s - idle_ms for each in found]
    over = [freed_ms - step for freed_ms, step in zip(freed, steps, strict=True)]
    return {
        "freed_over_a_step_p50_ms": median(over),
        "freed_over_a_step_most_ms": max(over),
        "freed_p50_ms": median(freed),
        "step_p50_ms": median(steps),
        "idle_first_token_p50_ms": idle_ms,
    }


async def _idle_first_ms(direct: Direct, prompts: Sequence[str]) -> float:
    """The median time to a first token of the engine itself, asked one at a time."""
    measured = await direct.run(Load(1, tuple(prompts), SHORT_TOKENS))
    assert measured.first_token_p50_s is not None, "every answer of an engine has a first token"
    return 1000 * measured.first_token_p50_s
