"""`pinnace eval gate`: how good the confidence in answers is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import evaluate
from pinnace.cli.gate_tables import print_gate
from pinnace.cli.report_option import ReportOption, give_report
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.gate_parts import gate_parts
from pinnace.eval.gate_report import report_gate
from pinnace.eval.gate_rows import EmbeddedTexts, GatedRows, hold_out, judge_by, judged_model
from pinnace.eval.join import join_tables
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.router.drift import Drift, drift
from pinnace.router.embedder import load_embedder
from pinnace.router.state import RouterState, load_state


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
    report: ReportOption = None,
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
    plain = {"judged_by": judged_by, **found.as_json()}
    if report is not None:
        names = ", ".join(path.name for path in paths)
        give_report([{"table": names, **plain, **gate_parts(found)}], report)
    if json:
        print_json(plain)
    else:
        print_gate(found, judged_by)


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
