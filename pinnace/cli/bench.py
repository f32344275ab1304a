"""`pinnace bench`: throughput, latency and overhead of this installation, side by side with its engine.

Its commands measure one thing each: what the endpoint adds, and how it does under overload and faults.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import uvicorn

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    app,
    console,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.config import Config

if TYPE_CHECKING:
    from pinnace.bench.report import Report
    from pinnace.bench.run import Plan
    from pinnace.bench.trial import Trial

INTERRUPTED = 130
PEERS = Path(".pinnace/peers")
_R = TypeVar("_R")

bench_app = typer.Typer(rich_markup_mode="rich")
app.add_typer(bench_app, name="bench")

Repeats = Annotated[int, typer.Option(min=1, max=100, help="Repeats; medians are over them.")]
Seconds = Annotated[float, typer.Option(min=0.5, max=600, help="How long each load lasts.")]


@bench_app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Repeats; medians are over them.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=2, max=512, help="Tokens per answer.")] = 64,
    concurrency: Annotated[str, typer.Option(help="Requests at once, with commas between.")] = "1,8,32",
    skip_stock: Annotated[bool, typer.Option("--skip-stock", help="Leave out stock vLLM.")] = False,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """Compare the endpoint with its engine, and the engine with stock vLLM, on the same prompts in turn.

    Takes about eight minutes, and wants the machine to itself. See benchmarks/README.md.
    Example: [bold]pinnace bench --json > bench.json[/bold]
    """
    if context.invoked_subcommand is not None:
        return
    from pinnace.bench.report import as_json, as_text
    from pinnace.bench.run import Plan

    plan = Plan(_numbers(concurrency), repeats, max_tokens, with_stock=not skip_stock)
    quiet_engines()
    report = _run(read_config(config), plan)
    if json:
        print_json(as_json(report))
    else:
        console.print(as_text(report))


def _numbers(text: str) -> tuple[int, ...]:
    """`1,8,32` as numbers from 1 to 256, each once, lowest first."""
    parts = {part.strip() for part in text.split(",")}
    if not all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
        raise typer.BadParameter(f"expected numbers from 1 to 256, as in 1,8,32; got {text!r}")
    return tuple(sorted(int(part) for part in parts))


@bench_app.command()
def overhead(
    repeats: Repeats = 5,
    requests: Annotated[int, typer.Option(min=20, max=100_000, help="Requests of each kind.")] = 500,
    json: JsonOption = False,
) -> None:
    """What the endpoint adds to a scripted backend's own time, one request at a time. Two minutes.

    Example: [bold]pinnace bench overhead --json > overhead.json[/bold]
    """
    from pinnace.bench.overhead import overhead as measure

    _tell(lambda watch: measure(repeats, requests, watch), json)


@bench_app.command()
def overload(repeats: Repeats = 5, seconds: Seconds = 10, json: JsonOption = False) -> None:
    """Goodput at three times the load that saturates, over the peak; what is refused is told when to return.

    Example: [bold]pinnace bench overload --seconds 20[/bold]
    """
    from pinnace.bench.overload import overload as measure

    _tell(lambda watch: measure(repeats, seconds, watch), json)


@bench_app.command()
def priority(repeats: Repeats = 5, seconds: Seconds = 10, json: JsonOption = False) -> None:
    """Time to the first text of interactive requests under a flood of batch ones, over that without it.

    Example: [bold]pinnace bench priority --seconds 20[/bold]
    """
    from pinnace.bench.priority import priority as measure

    _tell(lambda watch: measure(repeats, seconds, watch), json)


@bench_app.command()
def failure(
    repeats: Repeats = 5,
    requests: Annotated[int, typer.Option(min=20, max=100_000, help="Requests in each repeat.")] = 300,
    json: JsonOption = False,
) -> None:
    """Attempts per request while a remote model fails altogether, and how long the fallback's answers take.

    Example: [bold]pinnace bench failure --requests 1000[/bold]
    """
    from pinnace.bench.failure import failure as measure

    _tell(lambda watch: measure(repeats, requests, watch), json)


@bench_app.command()
def abort(
    repeats: Repeats = 5,
    requests: Annotated[int, typer.Option(min=1, max=1000, help="Hang-ups in each repeat.")] = 10,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """From a client's hang-up to the freed place in the real engine, over the time of one engine step.

    Example: [bold]pinnace bench abort --requests 20[/bold]
    """
    from pinnace.bench.abort import abort as measure

    quiet_engines()
    found = read_config(config)
    _tell(lambda watch: measure(found, repeats, requests, watch), json)


@bench_app.command()
def peer(
    repeats: Repeats = 5,
    seconds: Seconds = 3,
    folder: Annotated[Path, typer.Option(help="Where the peer is installed, if it is not yet.")] = PEERS,
    json: JsonOption = False,
) -> None:
    """Pinnace and the LiteLLM proxy in front of the same scripted upstream, in turn. Five minutes.

    Example: [bold]pinnace bench peer --json > peer.json[/bold]
    """
    from pinnace.bench.peer import peer as measure

    _tell(lambda watch: measure(repeats, seconds, folder, watch), json)


@bench_app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1, max=10_000, help="How long, about.")] = 30,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """A long mixed load on the real engine: growth of memory and of open files, and what failed.

    Example: [bold]pinnace bench soak --minutes 30 --json > soak.json[/bold]
    """
    from pinnace.bench.soak import soak as measure

    found = read_config(config)
    _tell(lambda watch: measure(found, minutes, watch), json)


def _tell(measure: "Callable[[Callable[[str], None]], Coroutine[Any, Any, Trial]]", json: bool) -> None:
    """Run a trial, and print what came out."""
    from pinnace.bench.trial import as_json, as_text

    trial = _interruptibly(measure)
    if json:
        print_json(as_json(trial))
    else:
        console.print(as_text(trial))


def _run(config: Config, plan: "Plan") -> "Report":
    from pinnace.bench.run import bench

    return _interruptibly(lambda watch: bench(config, plan, watch))


def _interruptibly(measure: Callable[[Callable[[str], None]], Coroutine[Any, Any, _R]]) -> _R:
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    try:
        with stderr.status("") as status, asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(measure(status.update))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise typer.Exit(INTERRUPTED) from None
