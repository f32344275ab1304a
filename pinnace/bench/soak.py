"""A long mixed load on the real engine: does memory grow, do files stay open, does anything fail?

The load comes in slices, after each of which the server is left alone for a moment and looked at. In some
slices the remote model refuses everything, in others the configuration is reloaded: what fails by that, and
only that, is counted apart. The engine is real; the remote model is a stand-in.
"""

import asyncio
import os
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pinnace.bench.asker import Told
from pinnace.bench.asking import ask, latencies_ms, p50, p99
from pinnace.bench.footprint import Footprint, footprint_of
from pinnace.bench.hardware import hardware, versions
from pinnace.bench.house import local_member
from pinnace.bench.mixed_load import REMOTE, Verdict, counted, errors_in, mixed_flows
from pinnace.bench.processes import asking, standing_in
from pinnace.bench.scripts import document, remote
from pinnace.bench.served import served
from pinnace.bench.trial import Bars, Figures, Trial, Watch
from pinnace.config import Config, VllmMember
from pinnace.router.embedder import load_embedder

SLICE_S = 30.0
SETTLE_S = 3.0
"""How long the server is left alone before it is looked at."""
FAULT_EVERY, RELOAD_EVERY = 5, 7
"""Slices from one in which the remote model fails to the next, and from one reload to the next."""
WARM_UP = 1 / 6
"""The share of all slices in which the server may still grow."""
SPAN = 1 / 6
"""The share of the slices after it that make the beginning, and the end."""
BARS: Bars = {
    "memory_growth_percent": ("at most", 5.0),
    "files_growth": ("at most", 0),
    "errors": ("at most", 0),
}
SETTING = (
    f"Slices of {SLICE_S:g} s of a mixed load, the server left alone and looked at between them. Every\n"
    f"{FAULT_EVERY}th the remote stand-in refuses everything; in every {RELOAD_EVERY}th the server reloads. "
    f"Growth: medians of the\nlast and the first sixth after a sixth of warm-up, of memory without a file "
    "behind it,\nof the server and its engine."
)


async def soak(config: Config, minutes: float, watch: Watch) -> Trial:
    """Run the trial for about `minutes`.

    :raises ConfigError: when the fleet has no local model.
    """
    member, machine, embedder = local_member(config), hardware(), config.router.embedder
    embedding_model = load_embedder(embedder).name
    slices = max(round(60 * minutes / (SLICE_S + SETTLE_S)), round(1 / SPAN))
    told: list[Mapping[str, Sequence[Told]]] = []
    seen: list[Figures] = []
    errors = Counter[str]()
    async with asking() as (client, scratch), standing_in(scratch) as (upstream, port):
        watch("soak: starting the engine")
        async with served("pinnace", _document(member, embedder, port, scratch), scratch) as server:
            for number in range(slices):
                watch(f"soak: slice {number + 1} of {slices}; errors: {dict(errors) or 'none'}")
                await upstream.ask({"failing": _is_faulty(number)})
                flows = mixed_flows(server.port, member.name, embedding_model, SLICE_S, number)
                reloading = asyncio.create_task(_reload(server.pid, number))
                told.append(await ask(client, *flows))
                await reloading
                await asyncio.sleep(SETTLE_S)
                # a breaker that the last slice opened may still rest
                is_faulty = _is_faulty(number) or _is_faulty(number - 1)
                errors += errors_in(told[-1], is_faulty=is_faulty)
                counts = counted(told[-1], is_faulty=is_faulty)
                seen.append(_looked_at(footprint_of(server.pid), counts))
    return Trial(
        name="soak",
        setting=SETTING,
        command=shlex.join(["pinnace", *sys.argv[1:]]),
        hardware=machine,
        versions=versions(),
        bars=BARS,
        rows=[{**figures(seen, told), **{f"errors_{what}": float(n) for what, n in errors.items()}}],
        series=seen,
    )


def _is_faulty(number: int) -> bool:
    return number % FAULT_EVERY == FAULT_EVERY - 1


async def _reload(pid: int, number: int) -> None:
    """Have the server reload in the middle of the slice, if it is such a slice."""
    if number % RELOAD_EVERY == RELOAD_EVERY - 1:
        await asyncio.sleep(SLICE_S / 2)
        os.kill(pid, signal.SIGHUP)


def _looked_at(held: Footprint, counts: Mapping[Verdict, int]) -> Figures:
    memory = {"server_mib": held.server_mib, "engine_mib": held.descendants_mib, "files": float(held.files)}
    return memory | {str(verdict): float(counts.get(verdict, 0)) for verdict in Verdict}


def figures(seen: Sequence[Figures], told: Sequence[Mapping[str, Sequence[Told]]]) -> Figures:
    """What came of all slices.

    :param seen: by slice, `server_mib`, `engine_mib`, `files`, and the verdicts' counts.
    :param told: by slice and flow, what every request was answered.
    """
    steady = seen[round(WARM_UP * len(seen)) :]
    span = max(round(SPAN * len(steady)), 1)
    first, last = steady[:span], steady[-span:]

    def held(name: str, slices: Sequence[Figures]) -> float:
        return median(each[name] for each in slices)

    names = ("server_mib", "engine_mib")
    before, after = (sum(held(name, slices) for name in names) for slices in (first, last))
    every = [each for flows in told for flow in flows.values() for each in flow]
    found = {
        "memory_growth_percent": 100 * (after / before - 1),
        "files_growth": held("files", last) - held("files", first),
        "errors": sum(each[Verdict.ERROR] for each in seen),
        **{f"{name}_first": held(name, first) for name in names},
        **{f"{name}_last": held(name, last) for name in names},
        "files_last": held("files", last),
        "requests": float(len(every)),
        **{f"requests_{v}": sum(each[v] for each in seen) for v in Verdict if v is not Verdict.ERROR},
        "slices": float(len(seen)),
    }
    for flow in told[0]:
        late = latencies_ms(each for flows in told for each in flows[flow])
        if late:
            found |= {f"{flow}_p50_ms": p50(late), f"{flow}_p99_ms": p99(late)}
    return found


def _document(member: VllmMember, embedder: str, port: int, scratch: Path) -> dict[str, Any]:
    large = remote(REMOTE, port, price={"input": 2.0, "output": 8.0})
    fleet = [member.model_dump(mode="json", exclude_unset=True), large]
    return document(fleet, scratch, router={"embedder": embedder})
