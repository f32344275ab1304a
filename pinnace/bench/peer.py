"""Pinnace and the LiteLLM proxy side by side: added latency and requests a second in front of one upstream.

Both are gateways here, each one process with one worker, in front of a stand-in that always answers the
same at once; the stand-in asked directly is the third side. The peer is installed from its package into a
virtual environment of its own, and is not a dependency of Pinnace.
"""

import json
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pinnace.bench.asker import Flow, Told
from pinnace.bench.asking import ask_one, latencies_ms, p50, p99
from pinnace.bench.processes import asking, standing_in
from pinnace.bench.scripts import document, remote
from pinnace.bench.served import HOST, Server, listening, served
from pinnace.bench.trial import Bars, Figures, Trial, Watch, in_turn, repeated
from pinnace.bench.worker import Worker
from pinnace.errors import BackendUnavailableError

PACKAGE = "litellm[proxy]"
OURS, PEER, DIRECT = "pinnace", "litellm", "upstream"
SIDES = (OURS, PEER, DIRECT)
CONCURRENCIES = (1, 16, 64)
SHAPES = {"whole": False, "streamed": True}
MODEL = "fixed"
ENVIRON = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing outside this machine is asked
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no keys, as on our side
}
BARS: Bars = {f"per_s_ratio_c{c}_{shape}": ("at least", 5.0) for c in CONCURRENCIES for shape in SHAPES}
SETTING = (
    "Requests a second, and added latency at one at a time, in front of one stand-in upstream that answers\n"
    "20 tokens at once: Pinnace's openai backend and the LiteLLM proxy, one worker each, ledger on."
)


async def peer(repeats: int, seconds: float, folder: Path, watch: Watch) -> Trial:
    """Run the trial, each side under each load for `seconds`; the peer is installed into `folder` at need."""
    watch("peer: installing LiteLLM")
    python = await installed(folder / PEER)
    version = await _said(python, "-c", "import importlib.metadata as m; print(m.version('litellm'))")
    async with asking() as (client, scratch), standing_in(scratch) as (_, port):
        watch("peer: starting both gateways")
        async with (
            served(OURS, _ours(port, scratch), scratch) as ours,
            _litellm(python, port, scratch) as theirs,
        ):
            ports = {DIRECT: port, OURS: ours.port, PEER: theirs.port}
            for side in SIDES:
                for is_stream in SHAPES.values():
                    await _told(client, ports[side], 16, is_stream, min(seconds, 2.0))

            async def once(repeat: int) -> Figures:
                return await _figures(client, ports, seconds, repeat)

            return await repeated("peer", SETTING, BARS, repeats, once, watch, {"litellm": version.strip()})


async def _figures(client: Worker, ports: Mapping[str, int], seconds: float, repeat: int) -> Figures:
    found: dict[str, float] = {}
    for shape, is_stream in SHAPES.items():
        for c in CONCURRENCIES:
            told = {
                side: await _told(client, ports[side], c, is_stream, seconds)
                for side in in_turn(SIDES, repeat)
            }
            found |= figures(told, c, shape, seconds)
    return found


def figures(told: Mapping[str, Sequence[Told]], c: int, shape: str, seconds: float) -> Figures:
    """Rates of whole answers, their ratio, and at one at a time what each gateway adds to the upstream."""
    name = f"c{c}_{shape}"
    rates = {side: sum(each.is_whole for each in each_told) / seconds for side, each_told in told.items()}
    found = {f"per_s_ratio_{name}": rates[OURS] / rates[PEER]}
    found |= {f"{side}_per_s_{name}": rate for side, rate in rates.items()}
    if c == 1:
        under = latencies_ms(told[DIRECT])
        for side in (OURS, PEER):
            over = latencies_ms(told[side])
            found[f"{side}_added_p50_ms_{shape}"] = p50(over) - p50(under)
            found[f"{side}_added_p99_ms_{shape}"] = p99(over) - p99(under)
    else:
        found |= {f"{side}_p99_ms_{name}": p99(latencies_ms(told[side])) for side in (OURS, PEER)}
    failed = sum(not each.is_whole for side in (OURS, PEER) for each in told[side])
    return {**found, f"not_answered_{name}": float(failed)}


async def _told(client: Worker, port: int, c: int, is_stream: bool, seconds: float) -> Sequence[Told]:
    return await ask_one(client, Flow("peer", port, MODEL, is_stream, askers=c, seconds=seconds))


def _ours(port: int, scratch: Path) -> dict[str, object]:
    return document([remote(MODEL, port, api_key="none")], scratch, server={"max_running": 256})


@asynccontextmanager
async def _litellm(python: Path, port: int, scratch: Path) -> AsyncGenerator[Server, None]:
    """The LiteLLM proxy in front of the same upstream."""
    params = {"model": f"openai/{MODEL}", "api_base": f"http://{HOST}:{port}/v1", "api_key": "none"}
    config = {"model_list": [{"model_name": MODEL, "litellm_params": params}]}
    folder = scratch / PEER
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        str(python.parent / "litellm"),
        "--config",
        "config.yaml",
        "--host",
        HOST,
        "--num_workers",
        "1",
    ]
    async with listening(PEER, command, "/health/liveliness", folder, ENVIRON) as found:
        yield found


async def installed(folder: Path) -> Path:
    """The Python of the virtual environment in `folder`, which has the peer; made at need.

    :raises BackendUnavailableError: when the package cannot be installed.
    """
    python = Path.cwd() / folder / "bin" / "python"  # it is run from another folder
    if not (folder / "bin" / "litellm").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        await _said(Path(sys.executable), "-m", "venv", str(folder))
        await _said(python, "-m", "pip", "install", "--quiet", PACKAGE)
    return python


async def _said(program: Path, *arguments: str) -> str:
    """What a command printed.

    :raises BackendUnavailableError: when it failed.
    """
    process = await create_subprocess_exec(str(program), *arguments, stdout=PIPE, stderr=STDOUT)
    out, _ = await process.communicate()
    text = out.decode(errors="replace")
    if process.returncode != 0:
        raise BackendUnavailableError(f"{program.name} {' '.join(arguments)}: {text[-2000:]}")
    return text
