"""A replay's figures, and a published protocol's, as tables for a terminal of 80 columns."""

from math import isnan
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pinnace.cli.app import console


def print_replay(one: dict[str, Any]) -> None:
    """What was replayed, every method's figures, and ours beside the best of the others."""
    large = one["large"] or "none"
    console.print(
        f"{one['table']}: {one['rows']:,} rows, {len(one['small'])} small models, large: {large}; "
        f"{one['seeds']} splits, {one['draws']:,} bootstrap draws",
        highlight=False,
    )
    console.print(_headlines(one["methods"]))
    console.print(_further(one["methods"]))
    for key, against in (
        ("delta_vs_best_peer", "the best peer"),
        ("delta_vs_blind", "the content-blind mix"),
    ):
        delta = one[key]
        if delta is not None:
            named = f" ({delta['peer']})" if "peer" in delta else ""
            console.print(f"area above {against}{named}: {_cell(delta, 'area')}", highlight=False)
    console.print("area: " + one["normalisation"]["area"], highlight=False)


def _headlines(methods: dict[str, Any]) -> Table:
    """Area and small accuracy, each with its interval; fits 80 columns."""
    shown = _table("area", "95 %", "small accuracy", "95 %")
    for method in methods.values():
        cells = [_valued(method, name) for name in ("area", "small_accuracy")]
        shown.add_row(method["label"], *(cell for values in cells for cell in _pair(values)))
    return shown


def _further(methods: dict[str, Any]) -> Table:
    """What else is asked for first, without intervals: the JSON has them, and the other metrics."""
    shown = _table("APGR", "accuracy", "USD per 1,000", "over best single")
    names = ("apgr", "accuracy", "cost_usd_per_1k", "gain_over_best_single")
    for method in methods.values():
        figures = method["metrics"]
        shown.add_row(method["label"], *(_pair(figures.get(name), _places(name))[0] for name in names))
    return shown


def print_protocol(one: dict[str, Any]) -> None:
    """A published protocol's figures as tables of two figures each, so that they fit 80 columns."""
    console.print(f"{one['table']}: {one['protocol']}: {one['note']}", highlight=False)
    names = list(next(iter(one["methods"].values())))
    for start in range(0, len(names), 2):
        here = names[start : start + 2]
        shown = _table(*(column for name in here for column in (name.replace("_", " "), "95 %")))
        for method, figures in one["methods"].items():
            shown.add_row(method, *(cell for name in here for cell in _pair(figures[name], _places(name))))
        console.print(shown)
    for name, value in one["published"].items():
        console.print(f"  published: {name}: {value}", highlight=False)


def _table(*figures: str) -> Table:
    shown = Table("method", box=SIMPLE_HEAD, padding=(0, 1))
    for figure in figures:
        shown.add_column(figure, justify="right")
    return shown


def _valued(values: dict[str, Any], name: str) -> dict[str, float]:
    return {"value": values[name], "low": values[f"{name}_low"], "high": values[f"{name}_high"]}


def _cell(values: dict[str, Any], name: str) -> str:
    value, spread = _pair(_valued(values, name))
    return f"{value} ({spread})"


def _pair(figure: dict[str, float] | None, places: int = 2) -> tuple[str, str]:
    """A figure and its interval; figures of one name have as many decimals, so that they align."""
    if figure is None or isnan(figure["value"]):
        return "-", ""
    value, low, high = (f"{figure[key]:.{places}f}" for key in ("value", "low", "high"))
    return value, f"{low} to {high}"


def _places(name: str) -> int:
    """Decimals of a figure: dollars are few, shares go from 0 to 1, all else from 0 to 100."""
    if "usd" in name:
        return 4
    return 3 if any(part in name for part in ("apgr", "cpt", "gap")) else 2
