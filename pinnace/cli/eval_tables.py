"""`pinnace eval tables`: what is in outcome tables, before anyone routes by them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pinnace.cli.app import JsonOption, console, print_json
from pinnace.cli.evaluate import evaluate
from pinnace.eval.leaks import Leaks, Repeats
from pinnace.eval.summary import Cheapest, Correlations, TableSummary, summarise_table
from pinnace.eval.table_file import read_table

SHOWN_TASKS = 8


@evaluate.command()
def tables(
    paths: Annotated[list[Path], typer.Argument(metavar="TABLE...", help="Outcome tables.")],
    json: JsonOption = False,
) -> None:
    """Summarise outcome tables: models, oracle, best single, correlations, leaks of train into test.

    The object that --json prints has one key, `tables`: for each the figures of
    `pinnace.eval.summary.TableSummary`, and its `path`.
    Example: [bold]pinnace eval tables outcomes.parquet[/bold]
    """
    found = [(path, summarise_table(read_table(path))) for path in paths]
    if json:
        print_json({"tables": [{"path": str(path)} | asdict(summary) for path, summary in found]})
        return
    for path, summary in found:
        _print(path, summary)


def _print(path: Path, summary: TableSummary) -> None:
    console.rule(f"[bold]{escape(path.name)}[/bold]", align="left")
    console.print(_models(summary))
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(summary).items():
        facts.add_row(f"[bold]{name}[/bold]", escape(text))
    console.print(facts)
    console.print()


def _models(summary: TableSummary) -> Table:
    """The models, best first."""
    table = Table("model", "rows run", "mean score", "USD per 1,000 requests")
    for column in table.columns[1:]:
        column.justify = "right"
    for found in sorted(summary.models, key=lambda found: -(found.mean_score or 0.0)):
        cost = "not known" if found.mean_cost is None else f"{found.mean_cost * 1000:,.4f}"
        table.add_row(escape(found.model), f"{found.rows:,}", _number(found.mean_score), cost)
    return table


def _facts(summary: TableSummary) -> dict[str, str]:
    best = summary.best_single
    facts = {
        "rows": _rows(summary),
        "tasks": _counted(summary.tasks),
        "oracle": f"{_number(summary.oracle)}: a router that always picked the best model would score this",
        "best single": f"{best.model}, {best.mean_score:.4f}: what a router has to beat" if best else "none",
        "cheapest": _cheapest(summary.cheapest),
        "correlation": _correlation(summary.correlations),
        "one winner": _winner(summary.distinct_winner_share),
        "leaks": _leaks(summary.leaks),
        "duplicates": _repeats(summary.duplicates, "repeat the prompt of an earlier row"),
    }
    if summary.splits is not None:
        facts["splits"] = _counted(summary.splits)
    return facts


def _rows(summary: TableSummary) -> str:
    unscored = f", {summary.unscored_rows:,} without any score" if summary.unscored_rows else ""
    return f"{summary.rows:,}{unscored}; figures that compare models are over {summary.compared_rows:,}"


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name or '(none)'} {count:,}" for name, count in list(counts.items())[:SHOWN_TASKS])
    rest = len(counts) - SHOWN_TASKS
    return f"{shown}, and {rest} more" if rest > 0 else shown


def _cheapest(found: Cheapest) -> str:
    score = f"{found.model}, {_number(found.mean_score)}"
    if found.mean_cost is None:
        return f"{score}: no costs are known, so the first model of the table is taken"
    over = f"over {found.cost_rows:,} rows" if found.by == "cost" else "each over its own rows"
    return f"{score}: USD {found.mean_cost * 1000:,.4f} per 1,000 requests, {over}"


def _correlation(found: Correlations) -> str:
    if found.mean is None or found.most is None or found.least is None:
        return "none: fewer than two models whose scores change"
    most, least = (
        f"{' and '.join(pair.models)} ({pair.correlation:.2f})" for pair in (found.most, found.least)
    )
    return f"{found.mean:.2f} on average (the lower, the more there is to route); most {most}, least {least}"


def _winner(share: float | None) -> str:
    return "one model alone" if share is None else f"{share:.1%} of rows: one model scores above all others"


def _leaks(found: Leaks | None) -> str:
    if found is None:
        return "cannot be told: the table does not have both a train and a test split"
    of = f" of {found.test_rows:,} test rows have a prompt that is in train"
    return _repeats(Repeats(found.exact, found.near, found.examples), of.strip())


def _repeats(found: Repeats, what: str) -> str:
    if not found.exact and not found.near:
        return f"none: 0 {what}"
    example = "; ".join(f"{row} = {first}" for row, first in found.examples[:1])
    return f"{found.exact:,} {what}; {found.near:,} more but for digits and punctuation (such as {example})"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"
