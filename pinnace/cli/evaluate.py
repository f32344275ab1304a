"""`pinnace eval`: run real prompts through real models and write outcome tables."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    app,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.errors import ConfigError
from pinnace.eval.example import Example, sample
from pinnace.eval.join import join_tables
from pinnace.eval.live import LiveRun, run_live
from pinnace.eval.recorded import recorded_outcomes
from pinnace.eval.suites import SUITES, read_suite
from pinnace.eval.table_file import read_table, write_table
from pinnace.models.backend import Backend
from pinnace.models.fleet import make_backend

SPLITS = ("fit", "held")
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
"""Of every progress bar of `pinnace eval` that knows how long it will take."""
evaluate = typer.Typer(help="Measure models and routing.", no_args_is_help=True)
app.add_typer(evaluate, name="eval")


@evaluate.command()
def live(
    suites: Annotated[list[str], typer.Argument(help=f"Suites, or 'all'. Known: {', '.join(SUITES)}.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The outcome table to write (.parquet, .jsonl[.gz], .csv).")
    ],
    model: Annotated[str, typer.Option(help="The fleet member that answers.")] = "smollm2-135m",
    data: Annotated[Path, typer.Option(help="The folder of task sets.")] = Path("../shared/data/tasks"),
    split: Annotated[str, typer.Option(help="'fit' for rows to fit on, 'held' for rows to test on.")] = "fit",
    rows: Annotated[int, typer.Option(min=1, help="Prompts per suite, at most.")] = 300,
    recorded: Annotated[
        list[Path] | None, typer.Option(help="Outcome tables to join, matched by question.")
    ] = None,
    recorded_model: Annotated[
        str, typer.Option(help="The model whose recorded outcomes to join.")
    ] = "gpt-4-1106-preview",
    concurrency: Annotated[int, typer.Option(min=1, max=256)] = 32,
    seed: int = 0,
    keep_answers: Annotated[bool, typer.Option(help="Keep the text of the answers in the table.")] = False,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Run real prompts through a fleet member, score them, and write an outcome table.

    Resumes where an interrupted run stopped.
    Example: [bold]pinnace eval live gsm8k boolq -o outcomes.parquet[/bold]
    """
    if split not in SPLITS:
        raise ConfigError(f"--split: expected one of {', '.join(SPLITS)}, got {split!r}")
    quiet_engines()
    tables = [read_table(path) for path in recorded or ()]
    examples: list[Example] = []
    for suite in SUITES if suites == ["all"] else suites:
        found = [e for e in read_suite(suite, data) if e.split == split]
        known = recorded_outcomes(tables, found, [recorded_model]) if tables else None
        examples.extend(sample(found, rows, seed=seed, prefer=frozenset(known.ids) if known else frozenset()))
    backend = _member(model, config)
    run = asyncio.run(_run(backend, examples, concurrency, seed, out, keep_answers))
    if tables:
        write_table(join_tables([run.table, recorded_outcomes(tables, examples, [recorded_model])]), out)
    _report(run, out, json=json)


def _member(name: str, config: Path) -> Backend:
    fleet = {member.name: member for member in read_config(config).fleet}
    if name not in fleet:
        raise ConfigError(f"--model: expected one of {', '.join(fleet)}, got {name!r}")
    return make_backend(fleet[name])


async def _run(
    backend: Backend, examples: Sequence[Example], concurrency: int, seed: int, out: Path, keep_answers: bool
) -> LiveRun:
    await backend.start()
    try:
        with Progress(*COLUMNS, console=stderr) as progress:
            task = progress.add_task(backend.card.name, total=len(examples))
            return await run_live(
                examples,
                backend,
                concurrency=concurrency,
                seed=seed,
                on_done=lambda _: progress.advance(task),
                out=out,
                keep_answers=keep_answers,
            )
    finally:
        await backend.drain()


def _report(run: LiveRun, out: Path, *, json: bool) -> None:
    summary = run.summary
    if json:
        print_json(
            {
                "out": str(out),
                "model": summary.model,
                "asked": summary.asked,
                "scored": summary.scored,
                "mean_score": summary.mean_score,
                "failures": summary.failures,
                "completion_tokens": summary.completion_tokens,
                "seconds": summary.seconds,
                "tokens_per_s": summary.tokens_per_s,
                "cost_usd": summary.cost_usd,
            }
        )
        return
    stderr.print(
        f"{summary.model}: {summary.asked} asked, {summary.scored} scored, "
        f"mean score {summary.mean_score:.3f}, {len(summary.failures)} failed, "
        f"{summary.tokens_per_s:.0f} tokens/s; written to {out}"
    )
