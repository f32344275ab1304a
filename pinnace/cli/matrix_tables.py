"""A matrix as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from pinnace.cli.app import console
from pinnace.eval.report_words import interval, number

COLUMNS: Mapping[str, str] = {
    "accuracy": "accuracy",
    "gain": "gain",
    "auroc": "AUROC",
    "coverage_97": "kept at 97 %",
    "scope_auroc": "AUROC of scope",
}


def print_matrix(found: Mapping[str, Any]) -> None:
    """Every suite with its models, the mean of the suites, and the routes."""
    console.print(
        f"{found['rows']:,} rows; gains over {found['reference']}; "
        f"95 % intervals of {found['draws']:,} draws",
        highlight=False,
        markup=False,
    )
    table = Table("suite", "model", "rows", *COLUMNS.values(), "USD per 1,000")
    for name, suite in found["suites"].items():
        for model, figures in suite["models"].items():
            cells = [_shown(figures, column) for column in COLUMNS]
            usd = f"{figures['usd_per_1k']:.4f}"
            table.add_row(escape(name), escape(model), f"{figures['rows']:,}", *cells, usd)
    for model, figures in found["overall"].items() if len(found["suites"]) > 1 else ():
        table.add_row("mean of suites", escape(model), "", *(_shown(figures, each) for each in COLUMNS), "")
    console.print(table)
    if found["routes"]:
        _print_routes(found["routes"])
    if stream := found["stream"]:
        accuracy, oracle, gap = (_plain(stream, name) for name in ("accuracy", "oracle", "gap"))
        console.print(
            f"asked of auto, {stream['rows']:,} rows in all: accuracy {accuracy}, of an oracle by task "
            f"{oracle}, gap {gap}"
            + (
                f"; where one member is clearly best, it answered {stream['to_best']:.1%}"
                if stream["clear"]
                else ""
            ),
            highlight=False,
            markup=False,
        )


def _print_routes(routes: Mapping[str, Any]) -> None:
    table = Table("asked of auto", "rows", "escalated", "answered by")
    for name, route in routes.items():
        shares = ", ".join(f"{model} {share:.1%}" for model, share in route["shares"].items())
        table.add_row(escape(name), f"{route['rows']:,}", f"{route['escalated']:.1%}", escape(shares))
    console.print(table)


def _plain(figures: Mapping[str, float], name: str) -> str:
    return f"{number(figures[name], 3)} {interval(figures[f'{name}_low'], figures[f'{name}_high'], 3)}"


def _shown(figures: Mapping[str, float], name: str) -> str:
    value = figures.get(name)
    if value is None or value != value:
        return ""
    return f"{number(value, 3)} [dim]{interval(figures[f'{name}_low'], figures[f'{name}_high'], 3)}[/dim]"
