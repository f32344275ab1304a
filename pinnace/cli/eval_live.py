"""`pinnace eval live`: run real prompts through real models and write outcome tables."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import COLUMNS, evaluate
from pinnace.cli.report_option import ReportOption, give_report
from pinnace.config import Config
from pinnace.errors import TableError
from pinnace.eval.asked_fleet import asked_fleet
from pinnace.eval.asker import Entrant, entrants
from pinnace.eval.code_box import containment
from pinnace.eval.example import Example, sample
from pinnace.eval.join import join_tables
from pinnace.eval.live import LiveRun, Settings, askable, run_live
from pinnace.eval.matrix import matrix_of
from pinnace.eval.matrix_parts import matrix_parts
from pinnace.eval.outcome import Outcome, Summary
from pinnace.eval.recorded import recorded_outcomes
from pinnace.eval.suites import read_suite, suite_names
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import check_name, read_table, write_table
from pinnace.eval.task_rows import json_lines


class SplitName(StrEnum):
    """Rows to fit on, and rows to test on."""

    FIT = "fit"
    HELD = "held"


@evaluate.command()
def live(
    suites: Annotated[
        list[str],
        typer.Argument(
            help=f"Suites, 'all', suite files or .jsonl files. Known: {', '.join(suite_names())}."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The outcome table to write (.parquet, .jsonl[.gz], .csv).")
    ],
    models: Annotated[
        str,
        typer.Option("--models", "--model", help="Who is asked: members, 'auto', NAME@K with K examples."),
    ] = "smollm2-135m",
    data: Annotated[Path, typer.Option(help="The folder of task sets.")] = Path("../shared/data/tasks"),
    split: Annotated[SplitName, typer.Option(help="Rows to fit on, or to test on.")] = SplitName.FIT,
    rows: Annotated[int, typer.Option(min=1, help="Prompts per suite, at most.")] = 300,
    only: Annotated[
        list[Path] | None, typer.Option(help="Ask only the prompts in these files of rows with a prompt.")
    ] = None,
    recorded: Annotated[
        list[Path] | None, typer.Option(help="Outcome tables to join, matched by question.")
    ] = None,
    recorded_model: Annotated[
        str, typer.Option(help="The model whose recorded outcomes to join.")
    ] = "gpt-4-1106-preview",
    concurrency: Annotated[int, typer.Option(min=1, max=256)] = 32,
    seed: int = 0,
    keep_answers: Annotated[bool, typer.Option(help="Keep the text of the answers in the table.")] = False,
    report: ReportOption = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Run real prompts through fleet members and through the route, score them, and write an outcome table.

    One engine serves all who are asked, one after the other. Resumes where an interrupted run stopped.
    Example: [bold]pinnace eval live trec gsm8k --split held --models smollm2-135m@5,auto -o o.parquet[/bold]
    """
    quiet_engines()
    asked = entrants(models)
    tables = [read_table(path) for path in recorded or ()]
    kept = _prompts_in(only) if only else None
    examples: list[Example] = []
    for suite in suite_names() if suites == ["all"] else suites:
        found = [
            e
            for e in read_suite(suite, data, seed=seed)
            if e.split == split.value and (kept is None or e.prompt in kept)
        ]
        examples.extend(_drawn(found, tables, recorded_model, rows, seed))
    if kept is not None and not examples:
        raise TableError(
            f"--only: expected prompts of {', '.join(suites)}, split {split.value}; got none of them"
        )
    check_name(out)
    for each in asked:
        askable(examples, each)
    _tell_of_the_box(examples)
    settings = Settings(concurrency=concurrency, seed=seed)
    run = asyncio.run(_run(read_config(config), asked, examples, settings, out, keep_answers))
    table = run.table
    if tables:
        table = join_tables([table, recorded_outcomes(tables, examples, [recorded_model])])
        write_table(table, out)
    if report is not None:
        give_report([{"table": out.name, **matrix_parts(matrix_of(table), table)}], report)
    _tell(run, out, json=json)


def _prompts_in(paths: Sequence[Path]) -> frozenset[str]:
    return frozenset(row.text("prompt") for path in paths for row in json_lines(path))


def _drawn(
    found: Sequence[Example], tables: Sequence[OutcomeTable], recorded_model: str, rows: int, seed: int
) -> Sequence[Example]:
    """At most `rows` per task of a suite, those with a recorded outcome first."""
    known = recorded_outcomes(tables, found, [recorded_model]) if tables else None
    prefer = frozenset(known.ids) if known else frozenset[str]()
    tasks = dict.fromkeys(example.task for example in found)
    return [
        example
        for task in tasks
        for example in sample([e for e in found if e.task == task], rows, seed=seed, prefer=prefer)
    ]


async def _run(
    config: Config,
    asked: Sequence[Entrant],
    examples: Sequence[Example],
    settings: Settings,
    out: Path,
    keep_answers: bool,
) -> LiveRun:
    with Progress(*COLUMNS, console=stderr) as progress:
        starting = progress.add_task("starting the fleet", total=None)
        async with asked_fleet(config, asked) as askers:
            progress.remove_task(starting)
            totals = {each.name: len(askable(examples, each)) for each in asked}
            bars = {name: progress.add_task(name, total=total) for name, total in totals.items()}

            def advance(outcome: Outcome) -> None:
                progress.advance(bars[outcome.model])

            return await run_live(
                examples, askers, settings, on_done=advance, out=out, keep_answers=keep_answers
            )


def _tell_of_the_box(examples: Sequence[Example]) -> None:
    """Where code of a model will run, what that is kept from."""
    if any(example.rule == "code" for example in examples):
        held = containment()
        missing = [name for name in ("network", "writes", "processes") if not held.get(name)]
        open_ = f"; this machine cannot take from it: {', '.join(missing)}" if missing else ""
        stderr.print(f"code that models write runs in a subprocess with limits{open_}", highlight=False)


def _tell(run: LiveRun, out: Path, *, json: bool) -> None:
    if json:
        print_json({"out": str(out), "models": [_plain(summary) for summary in run.summaries]})
        return
    for each in run.summaries:
        stderr.print(
            f"{each.model}: {each.asked} asked, {each.scored} scored, mean score {each.mean_score:.3f}, "
            f"{len(each.failures)} failed, {each.prompts_per_s:.1f} prompts/s, "
            f"{each.tokens_per_s:.0f} tokens/s, {each.cost_usd:.6f} USD"
            + (f"; {each.skipped} not asked: too few solved examples" if each.skipped else ""),
            highlight=False,
            markup=False,
        )
    stderr.print(f"written to {out}", highlight=False, markup=False)


def _plain(summary: Summary) -> Mapping[str, Any]:
    rates = {"prompts_per_s": summary.prompts_per_s, "tokens_per_s": summary.tokens_per_s}
    return {**asdict(summary), **rates}
