"""What the bench says: one JSON object with every raw run, or a table with both sides of every ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pinnace.bench.figures import BARS, DIRECT, ENDPOINT, STOCK, STREAM, Run, concurrencies, goodput, is_met
from pinnace.bench.figures import ratio as ratio_of
from pinnace.bench.hardware import Hardware
from pinnace.bench.settings import is_stock

TOO_BUSY = 0.1
"""Cores kept busy by others above which figures are not to be trusted."""
COMPARISONS = (
    ("endpoint / direct", ENDPOINT, DIRECT, "goodput_ratio_c{}"),
    ("streamed / direct", STREAM, DIRECT, "goodput_ratio_c{}_stream"),
    ("direct / stock vLLM", DIRECT, STOCK, "ours_over_stock_c{}"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """One whole bench.

    `settings` are those in force in our engine's processes, `stock_settings` in the stock engine's.
    """

    command: str
    model: str
    max_tokens: int
    hardware: Hardware
    versions: Mapping[str, str]
    settings: Mapping[str, str]
    stock_settings: Mapping[str, str] | None
    figures: Mapping[str, float | None]
    decisions_s: Sequence[float]
    runs: Sequence[Run]


def as_json(report: Report) -> dict[str, Any]:
    """The figures on top, then where they come from, down to every raw run."""
    rest = asdict(report)
    figures, runs = rest.pop("figures"), rest.pop("runs")
    bars = {
        name: {kind: bar, "met": is_met(name, value)}
        for name, (kind, bar) in BARS.items()
        if (value := figures.get(name)) is not None
    }
    return {**figures, "bars": bars, **rest, "runs": [_raw(run) for run in runs]}


def _raw(run: Mapping[str, Any]) -> dict[str, Any]:
    measured = run["measured"]
    rate = measured["tokens"] / measured["seconds"]
    where = {key: value for key, value in run.items() if key != "measured"}
    return {**where, "tokens_per_s": rate, **measured}


def as_text(report: Report) -> RenderableType:
    """The same for people."""
    machine = report.hardware
    repeats = len({run.repeat for run in report.runs})
    head = (
        f"{report.model}, {report.max_tokens} tokens out, {repeats} repeats, medians; tokens per second.\n"
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB"
        f"{', ' + machine.accelerator if machine.accelerator else ''}; load {machine.load:g} at the start.\n"
        f"{report.command}\n"
    )
    return Group(Text(head), _comparisons(report), _latencies(report), Text(_notes(report)))


def _comparisons(report: Report) -> Table:
    table = Table("comparison", "at once", "over", "under", "ratio", "bar")
    for c in concurrencies(report.runs):
        for title, over, under, name in COMPARISONS:
            _add(table, report, title, (over, c), (under, c), name.format(c))
    _add(table, report, "direct, 32 / 1 at once", (DIRECT, 32), (DIRECT, 1), "batch32_over_batch1")
    return table


def _add(
    table: Table, report: Report, title: str, over: tuple[str, int], under: tuple[str, int], name: str
) -> None:
    ratio = ratio_of(report.runs, over, under)
    if ratio is not None:
        sides = [f"{goodput(report.runs, *side) or 0:.0f}" for side in (over, under)]
        table.add_row(title, str(over[1]), *sides, f"{ratio:.2f}", _bar(name, report.figures.get(name)))


def _latencies(report: Report) -> Table:
    table = Table("decision, embedding to rungs", "p50 ms", "p99 ms", "bar")
    for title, name in (("one at a time", "decision"), ("under load", "decision_loaded")):
        middle, late = (report.figures.get(f"{name}_p{percent}_ms") for percent in (50, 99))
        if middle is not None and late is not None:
            table.add_row(title, f"{middle:.1f}", f"{late:.1f}", _bar(f"{name}_p50_ms", middle))
    return table


def _bar(name: str, value: float | None) -> str:
    if value is None or name not in BARS:
        return ""
    kind, bar = BARS[name]
    return f"{'met' if is_met(name, value) else 'MISSED'}: {kind} {bar:g}"


def _notes(report: Report) -> str:
    notes = ["A ratio is the median of the ratios within each repeat."]
    short = sum(run.measured.short for run in report.runs)
    if short:
        notes.append(f"{short} answers ended before {report.max_tokens} tokens; only generated tokens count.")
    crowd = max((run.neighbours or 0.0 for run in report.runs), default=0.0)
    if crowd > TOO_BUSY:
        notes.append(f"Other processes kept up to {crowd:.1f} cores busy: not figures to publish.")
    if report.stock_settings is not None and not is_stock(report.stock_settings, report.settings):
        notes.append(f"VOID: the stock engine ran with our settings: {dict(report.stock_settings)!r}.")
    return "\n".join(notes)
