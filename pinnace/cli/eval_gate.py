"""`pinnace eval gate`: how good the confidence in answers is."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    console,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import evaluate
from pinnace.eval.bootstrap import Interval
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.gate_report import CascadeFigures, GateFigures, GateReport, report_gate
from pinnace.eval.gate_rows import EmbeddedTexts, GatedRows, hold_out, judge_by, judged_model
from pinnace.eval.join import join_tables
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.router.drift import Drift, drift
from pinnace.router.embedder import load_embedder
from pinnace.router.state import RouterState, load_state

COLUMNS = ("auroc", "brier", "ece", "aurc", "excess_aurc", "coverage_80", "coverage_90", "coverage_95")


class Stage(StrEnum):
    """When an answer is judged: at its end, or after the tokens that a stream holds."""

    WHOLE = "whole"
    PREFIX = "prefix"


@evaluate.command()
def gate(
    paths: Annotated[list[Path], typer.Argument(metavar="TABLE...", help="Outcome tables with evidence.")],
    state: Annotated[
        Path | None, typer.Option(help="Judge by this router state as it is; without, by cross-validation.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Whose answers; the only one with evidence.")] = None,
    stage: Annotated[Stage, typer.Option(help="Judge whole answers or their first tokens.")] = Stage.WHOLE,
    folds: Annotated[int, typer.Option(min=2, max=50, help="Folds of the cross-validation.")] = 5,
    clusters: Annotated[int, typer.Option(min=1, max=1024, help="How many clusters a fold fits.")] = 40,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap draws.")] = 1000,
    seed: int = 0,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Measure a gate: AUROC, Brier, ECE, coverage, cascade against content-blind, and drift.

    Without --state every row is judged by a gate fitted on other prompts. With it, the state's own
    calibration judges all rows (rows that it was fitted on flatter it), and the evidence is checked for
    drift. The keys that --json prints are those of `pinnace.eval.gate_report`, and `judged_by`, which is
    "cross-validation" or the state's folder.
    Example: [bold]pinnace eval gate outcomes.parquet[/bold]
    """
    quiet_engines()
    table = join_tables([read_table(path) for path in paths])
    judged = judged_model(table, model)
    shipped = load_state(state) if state else None
    embedded = _embed(table, config)
    if shipped is None:
        rows = _held_out(table, embedded, judged, stage.value, clusters, folds, seed)
    else:
        rows = judge_by(shipped, table, embedded, judged, stage=stage.value)
    found = report_gate(rows, draws=draws, seed=seed, drift=_drift(shipped, rows))
    judged_by = "cross-validation" if state is None else str(state)
    if json:
        print_json({"judged_by": judged_by, **found.as_json()})
    else:
        _print(found, judged_by)


def _embed(table: OutcomeTable, config: Path) -> EmbeddedTexts:
    """The table's prompts, embedded once."""
    embedder = load_embedder(read_config(config).router.embedder)
    with stderr.status(f"embedding {len(table)} prompts"):
        return EmbeddedTexts(embedder.name, table.prompts, embed_cached(embedder, table.prompts))


def _held_out(
    table: OutcomeTable,
    embedded: EmbeddedTexts,
    model: str,
    stage: str,
    clusters: int,
    folds: int,
    seed: int,
) -> GatedRows:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr) as progress:
        task = progress.add_task("fitting folds", total=folds)
        return hold_out(
            table,
            embedded,
            model,
            stage=stage,
            clusters=clusters,
            folds=folds,
            seed=seed,
            on_fold=lambda: progress.advance(task),
        )


def _drift(state: RouterState | None, rows: GatedRows) -> Drift | None:
    """The rows' evidence against that which the state was fitted on; None where that is not known."""
    reference = state.gate.references.get(rows.model, {}).get(rows.stage) if state else None
    return drift(rows.evidence, reference) if reference else None


def _print(found: GateReport, judged_by: str) -> None:
    rows, figures = found.judged, found.figures
    console.print(
        f"[bold]{escape(rows.model)}[/bold], {rows.stage} answers, judged by {escape(judged_by)}: "
        f"{figures.rows:,} rows, {figures.accuracy:.3f} right; 95 % intervals of {found.draws:,} draws",
        highlight=False,
    )
    console.print(_methods(figures.methods))
    console.print(
        f"AUROC over mean log-probability: {_shown(figures.over_mean, sign=True)}, "
        f"over the router's estimate: {_shown(figures.over_estimate, sign=True)}",
        highlight=False,
    )
    console.print(_tasks(found.tasks))
    if found.cascade:
        _print_cascade(found.cascade, rows.large or "")
    if found.drift:
        _print_drift(found.drift)


def _methods(methods: Mapping[str, Mapping[str, Interval]]) -> Table:
    table = Table("", *methods)
    for name in COLUMNS:
        table.add_row(name, *(_shown(metrics[name]) for metrics in methods.values()))
    return table


def _tasks(tasks: Mapping[str, GateFigures]) -> Table:
    table = Table("task", "rows", "right", "AUROC", "over mean log-prob.", "over estimate", "Brier", "ECE")
    for task, figures in tasks.items():
        gate = figures.methods["gate"]
        cells = [_shown(gate["auroc"]), _shown(figures.over_mean, sign=True)]
        cells += [_shown(figures.over_estimate, sign=True), _shown(gate["brier"]), _shown(gate["ece"])]
        table.add_row(escape(task), f"{figures.rows:,}", f"{figures.accuracy:.3f}", *cells)
    return table


def _print_cascade(cascade: CascadeFigures, large: str) -> None:
    console.print(
        f"cascade to [bold]{escape(large)}[/bold] on {cascade.rows:,} rows: small "
        f"{cascade.accuracy_small:.3f}, large {cascade.accuracy_large:.3f}",
        highlight=False,
    )
    table = Table("escalated", "accuracy", "blind", "over blind", "gain", "regressions", "tax")
    for point in cascade.points:
        climbed = point.escalation
        cells = [f"{point.share:.0%}", f"{point.accuracy:.3f}", f"{point.blind_accuracy:.3f}"]
        cells += [_shown(point.over_blind, sign=True)]
        cells += [f"{value:+.3f}" for value in (climbed.gain, climbed.regressions, climbed.tax)]
        table.add_row(*cells)
    console.print(table)


def _print_drift(found: Drift) -> None:
    moved = ", ".join(found.moved) or "none"
    console.print(
        f"drift of {found.live_rows:,} rows against {found.fitted_rows:,} fitted: moved: {moved}",
        highlight=False,
    )
    table = Table("feature", "KS distance", "bound", "median then", "median now")
    for each in found.features:
        cells: Sequence[Any] = (each.distance, each.bound, each.fitted_median, each.live_median)
        table.add_row(each.feature, *(f"{cell:.3f}" for cell in cells))
    console.print(table)


def _shown(figure: Interval, *, sign: bool = False) -> str:
    form = "+.3f" if sign else ".3f"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"
