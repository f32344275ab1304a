"""`pinnace bench`: throughput, latency and overhead of this installation, side by side with its engine."""

import asyncio
from typing import TYPE_CHECKING, Annotated

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

INTERRUPTED = 130


@app.command()
def bench(
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


def _run(config: Config, plan: "Plan") -> "Report":
    from pinnace.bench.run import bench

    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    try:
        with stderr.status("") as status, asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(bench(config, plan, status.update))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise typer.Exit(INTERRUPTED) from None
