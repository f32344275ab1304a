"""A remote model that fails altogether: how often it is asked in vain, and how long answers take.

The upstream refuses everything with 503. A router state that was fitted here finds the remote model worth
its price on every request, so that every route begins with it; a scripted model is the fallback. Once with
the settings as shipped, and once without the breaker, where only the retry budget holds attempts back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinnace.bench.asker import Flow, Told
from pinnace.bench.asking import ask_one, latencies_ms, p50, p99
from pinnace.bench.processes import asking, standing_in
from pinnace.bench.prompts import varied_prompts
from pinnace.bench.scripts import INSTANT, document, remote, scripted
from pinnace.bench.served import served
from pinnace.bench.trial import Bars, Figures, Trial, Watch, in_turn, repeated
from pinnace.bench.worker import Worker
from pinnace.router.dispatch import AUTO
from pinnace.router.embedder import HASHING, HashingEmbedder
from pinnace.router.fit import FitRows, fit_state
from pinnace.router.state import Provenance, save_state

REMOTE = "remote"
SIDES = ("shipped", "unbroken")
ROWS = 240
ASKERS = 4
NEVER = 10**9
BARS: Bars = {f"attempts_per_request_{side}": ("at most", 1.2) for side in SIDES}
SETTING = (
    f"{ASKERS} askers by auto; the remote model, always preferred, answers 503 to everything, and\n"
    "a scripted model is the fallback. shipped: breaker and retries as they come; unbroken: no breaker."
)


async def failure(repeats: int, requests: int, watch: Watch) -> Trial:
    """Run the trial, `requests` on each side of each repeat, which begins with a new server."""
    async with asking() as (client, scratch):
        save_state(preferring_remote(), scratch / "state")
        async with standing_in(scratch) as (upstream, port):
            await upstream.ask({"failing": True})

            async def once(repeat: int) -> Figures:
                found: dict[str, float] = {}
                for side in in_turn(SIDES, repeat):
                    config = _document(port, scratch, side)
                    async with served(f"{side}-{repeat}", config, scratch) as server:
                        found |= await _figures(client, upstream, server.port, side, requests)
                return found

            return await repeated("failure", SETTING, BARS, repeats, once, watch)


async def _figures(client: Worker, upstream: Worker, port: int, side: str, requests: int) -> Figures:
    flow = Flow(side, port, AUTO, askers=ASKERS, count=requests)
    await upstream.ask({"asked": True})
    told = await ask_one(client, flow)
    attempts = int(await upstream.ask({"asked": True}))
    return figures(side, told, attempts)


def figures(side: str, told: Sequence[Told], attempts: int) -> Figures:
    """Attempts at the remote model per request, and how long answers took that the fallback gave.

    :raises AssertionError: when a route began with another model than the remote one.
    """
    assert all((each.route or REMOTE).startswith(REMOTE) for each in told), "every route begins with it"
    whole = latencies_ms(told)
    return {
        f"attempts_per_request_{side}": attempts / len(told),
        f"answered_share_{side}": len(whole) / len(told),
        f"fallback_p50_ms_{side}": p50(whole),
        f"fallback_p99_ms_{side}": p99(whole),
    }


def _document(port: int, scratch: Path, side: str) -> dict[str, Any]:
    breaker = {"breaker": {"failures": NEVER}} if side == "unbroken" else {}
    failing = remote(REMOTE, port, price={"input": 1, "output": 4}, **breaker)
    router: Mapping[str, Any] = {
        "embedder": HASHING,
        "state": str(scratch / "state"),
        "policy": {"mode": "tradeoff", "alpha": 1.0},
    }
    return document([scripted(INSTANT, 1), failing], scratch, router=router)


def preferring_remote() -> Any:
    """A router state by which the remote model is always right, and the scripted one never."""
    prompts, embedder = varied_prompts(ROWS), HashingEmbedder()
    draw = np.random.default_rng(0)
    scores = np.stack([draw.random(ROWS) < 0.05, draw.random(ROWS) < 0.95], axis=1).astype(np.float64)
    rows = FitRows(
        prompts=prompts,
        tasks=("made",) * ROWS,
        models=(INSTANT, REMOTE),
        vectors=embedder.embed(prompts),
        scores=scores,
        output_tokens=np.full((ROWS, 2), 20.0),
        evidence={},
    )

    def provenance(metrics: Mapping[str, float]) -> Provenance:
        return Provenance("", "", embedder.name, ROWS, "0" * 64, 0, {}, metrics)

    return fit_state(rows, provenance, k=4, hold_tokens=16).state
