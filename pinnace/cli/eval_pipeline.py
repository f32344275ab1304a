"""`pinnace eval pipeline`: run somebody's pipeline over suites, as it is and with parts of it changed."""

import asyncio
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from pinnace.agents import Answer, Fleet, Session, Step
from pinnace.agents.ablation import Ablation, Variant, variants
from pinnace.agents.answer import Tell
from pinnace.agents.line import Line
from pinnace.agents.local_line import LocalLine
from pinnace.agents.step import Input
from pinnace.agents.trace import totals_of
from pinnace.cli import app, eval_live
from pinnace.cli.evaluate import COLUMNS, evaluate
from pinnace.cli.report_option import ReportOption
from pinnace.config import Config
from pinnace.errors import TableError
from pinnace.eval.code_box import containment
from pinnace.eval.example import Example, sample
from pinnace.eval.live import LiveRun
from pinnace.eval.outcome import Outcome
from pinnace.eval.pipeline_file import Made, read_pipeline
from pinnace.eval.pipeline_report import HEADS, pipeline_figures, rows_of, write_pipeline_report
from pinnace.eval.pipelines import FAULT, Column, Part, Ran, prompt_of, run_pipelines
from pinnace.eval.suites import read_suite, suite_names
from pinnace.eval.table_file import check_name
from pinnace.models.fleet import Fleet as ModelFleet
from pinnace.router.dispatch import Dispatcher, make_router

T = TypeVar("T")
SPLIT = HEADS.index("USD per 1,000")
"""Where the one table becomes two, so that a terminal holds them."""


@evaluate.command()
def pipeline(
    target: Annotated[
        str, typer.Argument(metavar="FILE.py:NAME", help="An async def of (run, prompt), or what makes one.")
    ],
    suites: Annotated[
        list[str], typer.Argument(help="Suites, suite files or .jsonl files; see `eval live`.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The outcome table to write (.parquet, .jsonl[.gz], .csv).")
    ],
    ways: Annotated[
        str,
        typer.Option(
            "--variants", help="routed, small, large, single, vote=N, and words of its own; '+' joins."
        ),
    ] = "routed",
    url: Annotated[
        str | None, typer.Option(help="Ask the fleet at this address, not one started here.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="PINNACE_API_KEY", help="The key for --url.")] = None,
    data: Annotated[Path, typer.Option(help="The folder of task sets.")] = Path("../shared/data/tasks"),
    split: Annotated[
        eval_live.SplitName, typer.Option(help="Rows to fit on, or to test on.")
    ] = eval_live.SplitName.HELD,
    rows: Annotated[int, typer.Option(min=1, help="Prompts per suite, at most.")] = 300,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Runs at a time.")] = 32,
    seed: int = 0,
    keep_answers: Annotated[bool, typer.Option(help="Keep the text of the answers in the table.")] = False,
    report: ReportOption = None,
    config: app.ConfigOption = app.DEFAULT_PATH,
    json: app.JsonOption = False,
) -> None:
    """Run a pipeline over suites, in sessions of their own, and write an outcome table.

    Each variant is a column: as written, one model for every step, one answer or a vote in each. Tells
    accuracy, cost and confidence of the whole and step by step. Resumes where an interrupted run stopped.
    Example: [bold]pinnace eval pipeline p.py:answer gsm8k --variants routed,small,large -o o.parquet[/bold]
    """
    app.quiet_engines()
    check_name(out)
    file = read_pipeline(target)
    asked = [(each, file.made_with(each.words)) for each in variants(ways)]
    examples = _examples(suites, data, split.value, rows, seed)
    if url:
        find, place = partial(Fleet.connect, url, api_key), url
    else:
        read = app.read_config(config)
        find, place = partial(_own_fleet, read), read.model_dump_json()
    run = asyncio.run(_run(find, place, asked, examples, concurrency, out, keep_answers))
    figures = pipeline_figures(run.table, seed=seed)
    if report is not None:
        command = shlex.join(["pinnace", *sys.argv[1:]])
        write_pipeline_report(run.table, figures, report, name=out.name, command=command)
        app.stderr.print(f"report written to {report}", highlight=False, markup=False)
    if json:
        models = [asdict(summary) for summary in run.summaries]
        app.print_json({"out": str(out), "models": models, "pipeline": figures})
    else:
        _print(run, figures)
        app.stderr.print(f"written to {out}", highlight=False, markup=False)


def _examples(suites: Sequence[str], data: Path, split: str, rows: int, seed: int) -> list[Example]:
    """At most `rows` per task of a suite."""
    drawn: list[Example] = []
    for suite in suite_names() if suites == ["all"] else suites:
        found = [each for each in read_suite(suite, data, seed=seed) if each.split == split]
        for task in dict.fromkeys(each.task for each in found):
            drawn.extend(sample([each for each in found if each.task == task], rows, seed=seed))
    if not drawn:
        raise TableError(f"expected prompts of {', '.join(suites)}, split {split}; got none")
    for each in drawn:
        prompt_of(each)
    if any(each.rule == "code" for each in drawn):
        held = containment()
        missing = ", ".join(each for each in ("network", "writes", "processes") if not held.get(each))
        app.stderr.print(f"code runs in a subprocess with limits; open to it here: {missing or 'nothing'}")
    return drawn


def _own_fleet(config: Config) -> Fleet:
    """The fleet of this configuration, in this process, as it serves, without the ledger."""
    dispatcher = Dispatcher(ModelFleet.from_config(config), make_router(config))
    return Fleet(LocalLine(dispatcher), start=dispatcher.start, stop=dispatcher.drain)


async def _run(
    find: Callable[[], Fleet],
    place: str,
    asked: Sequence[tuple[Variant, Made]],
    examples: Sequence[Example],
    concurrency: int,
    out: Path,
    keep_answers: bool,
) -> LiveRun:
    with Progress(*COLUMNS, console=app.stderr) as progress:
        starting = progress.add_task("starting the fleet", total=None)
        async with find() as fleet:
            columns = await columns_of(fleet, asked, place)
            progress.remove_task(starting)
            bars = {each.name: progress.add_task(each.name, total=len(examples)) for each in columns}

            def advance(outcome: Outcome) -> None:
                progress.advance(bars[outcome.model])

            return await run_pipelines(
                examples,
                columns,
                concurrency=concurrency,
                on_done=advance,
                out=out,
                keep_answers=keep_answers,
            )


async def columns_of(fleet: Fleet, asked: Sequence[tuple[Variant, Made]], place: str = "") -> list[Column]:
    """A column for every variant, `NAME@VARIANT`, so that no router takes it for a model.

    :param place: the fleet's address, or its configuration.
    :raises ConfigError: when the fleet's prices do not tell what a variant needs.
    """
    members = await fleet.line.members()
    found: list[Column] = []
    who = sha256(repr((place, members)).encode()).hexdigest()
    for variant, made in asked:
        ablation = variant.ablation(members)
        runs = _Runs(fleet.line, made, ablation)
        made_of = f"{made.file.digest} {who} {variant.name} {ablation.model}"
        found.append(Column(f"{made.file.name}@{variant.name}", runs.run, made_of))
    return found


class _Noted(Session):
    """A session that remembers how sure each answer was, by its step, in order."""

    def __init__(self, line: Line, ablation: Ablation) -> None:
        super().__init__(line, ablation=ablation)
        self.sure: list[tuple[str, float | None]] = []

    async def _answer(self, step: Step[T], asked: Input, tell: Tell | None) -> Answer[T]:
        answer = await super()._answer(step, asked, tell)
        self.sure.append((step.name, answer.confidence))
        return answer


class _Runs:
    """Runs of one pipeline, one way."""

    def __init__(self, line: Line, pipeline: Made, ablation: Ablation) -> None:
        self._line, self._pipeline, self._ablation = line, pipeline, ablation

    async def run(self, prompt: str) -> Ran:
        """One of them, in a session of its own; its confidence is that of the last step that answered."""
        session, began = _Noted(self._line, self._ablation), perf_counter()
        async with session:
            said, fault = await self._pipeline.say(session, prompt)
            seconds = perf_counter() - began
        return Ran(said, seconds, session.sure[-1][1] if session.sure else None, _parts(session), fault)


def _parts(session: _Noted) -> tuple[Part, ...]:
    """What each step of a session took."""
    spans = session.trace.spans()
    steps = {span.id: span for span in spans if span.kind == "step"}
    found: list[Part] = []
    for name in dict.fromkeys(span.name for span in steps.values()):
        asks = [span for span in steps.values() if span.name == name]
        calls = [s for s in spans if s.kind == "call" and s.parent in steps and steps[s.parent].name == name]
        sure = [each for step, each in session.sure if step == name and each is not None]
        totals = totals_of(calls)
        found.append(
            Part(
                step=name,
                asks=len(asks),
                calls=totals.calls,
                escalations=totals.escalations,
                usd=totals.usd,
                joules=totals.joules or 0.0,
                metered=sum(call.joules is not None for call in calls),
                prompt_tokens=sum(call.prompt_tokens for call in calls),
                completion_tokens=sum(call.completion_tokens for call in calls),
                seconds=sum(span.seconds for span in asks),
                confidence=sum(sure) / len(sure) if sure else None,
                models=totals.models,
            )
        )
    return tuple(found)


def _print(run: LiveRun, figures: Mapping[str, Any]) -> None:
    """Every variant whole, and beneath it its steps; then what went wrong."""
    rows = [[escape(cell) for cell in row] for row in rows_of(figures)]
    for at in (slice(1, SPLIT), slice(SPLIT, None)):
        table = Table(HEADS[0], *HEADS[at], box=SIMPLE, pad_edge=False)
        for row in rows:
            table.add_row(row[0], *row[at])
        table.columns[0].no_wrap = True
        for column in table.columns:
            column.overflow = "fold"
        app.console.print(table)
    for each in run.summaries:
        faults = [e[FAULT] for e in run.table.evidence[each.model] if e and FAULT in e]
        failures = [why for _, why in each.failures]
        for told, wrong in (("gave no answer, scored 0", faults), ("failed, not scored", failures)):
            if wrong:
                first = f"{each.model}: {len(wrong)} {told}; the first: {wrong[0]}"
                app.stderr.print(first, highlight=False, markup=False)
