"""What the endpoint adds to a backend's own time, one request at a time.

The scripted backend is called directly, and through `pinnace serve` over loopback HTTP, by a client in a
process of its own; what is added is the difference of the two latencies within one repeat. Requests name
their model, which needs no embedding here; the same by `auto` shows what the routing decision costs, of
which the embedder's share is told apart.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from pinnace.bench.asker import Flow
from pinnace.bench.asking import ask_one, latencies_ms, p50, p99
from pinnace.bench.processes import asking
from pinnace.bench.prompts import varied_prompts
from pinnace.bench.scripts import INSTANT, TWENTY, WORDS, document, scripted
from pinnace.bench.served import served
from pinnace.bench.trial import Bars, Figures, Trial, Watch, in_turn, repeated
from pinnace.bench.worker import Worker
from pinnace.config import parse_config
from pinnace.models.completion import Message, Request
from pinnace.models.fleet import Fleet
from pinnace.router.dispatch import AUTO, make_router

MEMBERS = {INSTANT: 1, TWENTY: WORDS}
"""Words that each scripted model answers with, at once."""
DECISIONS = 200
Decide = Callable[[int], Awaitable[tuple[list[float], list[float]]]]
SHAPES = {"whole": False, "streamed": True}
PROMPT = "What is the capital of France? Answer in one word."
BARS: Bars = {
    f"added_{model}_{shape}_{percent}_ms": ("at most", bound)
    for model in MEMBERS
    for shape in SHAPES
    for percent, bound in (("p50", 1.0), ("p99", 5.0))
}
SETTING = (
    "Added latency at one request at a time: through pinnace serve over loopback HTTP, less the scripted\n"
    "backend called directly. Requests name the model; auto_* are routed, embed_* is the embedder's share."
)


async def overhead(repeats: int, requests: int, watch: Watch) -> Trial:
    """Run the trial, `requests` of each kind in each repeat."""
    async with asking() as (client, scratch):
        fleet = [scripted(model, words) for model, words in MEMBERS.items()]
        watch("overhead: starting the server")
        async with served("pinnace", document(fleet, scratch), scratch) as server, deciding(fleet) as decide:

            async def once(repeat: int) -> Figures:
                embed, decision = await decide(min(requests, DECISIONS))
                found = await _figures(client, server.port, fleet, requests, repeat)
                return {**found, **_summary("embed", embed), **_summary("decision", decision)}

            await once(0)  # to warm everything up
            return await repeated("overhead", SETTING, BARS, repeats, once, watch)


async def _figures(
    client: Worker, port: int, fleet: Sequence[Mapping[str, object]], requests: int, repeat: int
) -> Figures:
    found: dict[str, list[float]] = {}
    kinds = [f"{model} {shape}" for model in (*MEMBERS, AUTO) for shape in SHAPES]
    kinds += [f"{model} direct" for model in MEMBERS]
    for kind in in_turn(kinds, repeat):
        model, shape = kind.split()
        if shape == "direct":
            found[kind] = await direct_ms(fleet, model, requests)
        else:
            flow = Flow(kind, port, model, SHAPES[shape], count=requests, prompt=PROMPT)
            found[kind] = latencies_ms(await ask_one(client, flow))
    return _added(found)


def _added(found: Mapping[str, Sequence[float]]) -> Figures:
    """Each kind's percentiles less those of its model called directly; `auto` asks the first."""
    figures: dict[str, float] = {}
    for kind, values in found.items():
        model, shape = kind.split()
        if shape == "direct":
            figures |= _summary(f"direct_{model}", values)
            continue
        under = found[f"{INSTANT if model == AUTO else model} direct"]
        for name, percentile in (("p50", p50), ("p99", p99)):
            figures[f"added_{model}_{shape}_{name}_ms"] = percentile(values) - percentile(under)
    return figures


def _summary(name: str, values: Sequence[float]) -> Figures:
    return {f"{name}_p50_ms": p50(values), f"{name}_p99_ms": p99(values)}


async def direct_ms(fleet: Sequence[Mapping[str, object]], model: str, requests: int) -> list[float]:
    """Latencies of the scripted backend, called in this process."""
    backend = Fleet.from_config(parse_config({"fleet": list(fleet)}, {})).backends[model]
    request = Request((Message("user", PROMPT),), max_tokens=64, top_logprobs=None)
    found: list[float] = []
    for _ in range(requests):
        asked = time.perf_counter()
        async for _ in backend.stream(request):
            pass
        found.append(1000 * (time.perf_counter() - asked))
    return found


@asynccontextmanager
async def deciding(fleet: Sequence[Mapping[str, object]]) -> AsyncGenerator[Decide, None]:
    """A router with its embedder, in this process; yields what times so many of its decisions.

    That is one at a time, and of each the ms of the embedding, and of all of the decision.
    """
    config = parse_config({"fleet": list(fleet)}, {})
    router = await asyncio.to_thread(make_router, config)
    cards = [backend.card for backend in Fleet.from_config(config).backends.values()]

    async def decide(requests: int) -> tuple[list[float], list[float]]:
        prompts = varied_prompts(requests)
        routes = [await router.route(Request((Message("user", p),), id=p), cards) for p in prompts]
        return [1000 * r.embed_s for r in routes], [1000 * r.decision_s for r in routes]

    router.start()
    try:
        await router.warm()
        router.prepare(cards)
        yield decide
    finally:
        router.stop()
