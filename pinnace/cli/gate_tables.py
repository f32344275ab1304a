"""A gate's figures as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from pinnace.cli.app import console
from pinnace.eval.bootstrap import Interval
from pinnace.eval.gate_report import CascadeFigures, GateFigures, GateReport
from pinnace.router.drift import Drift

COLUMNS = ("auroc", "brier", "ece", "aurc", "excess_aurc", "coverage_80", "coverage_90", "coverage_95")


def print_gate(found: GateReport, judged_by: str) -> None:
    """Every method, every task, the cascade, and the drift where it was looked for."""
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
