"""The figures of a matrix: accuracies with intervals, and who answered what was asked of `auto`."""

from collections.abc import Mapping
from typing import Any

from pinnace.eval.figures.dots import Panel, draw_dots
from pinnace.eval.figures.drawing import Sketch
from pinnace.eval.figures.risks import draw_risks
from pinnace.eval.figures.style import (
    CONTROL,
    INK,
    OURS,
    PEERS,
    SMALL,
    WIDTH,
    add_axes,
    drawable,
    new_figure,
    text_width,
)

Report = Mapping[str, Any]
COLUMNS = 3
BAR, BELOW, LEGEND_ROW = 0.26, 0.5, 0.17
"""Inches: from bar to bar, under the bars for the axis, and for a row of the legend."""
NAMED = 0.08
"""A share from which on it is written into its bar."""
PERCENT = 100.0


def draw_accuracies(report: Report) -> Any:
    """A panel per suite: every model's accuracy with its interval; None where there is one model alone."""
    if len(report["models"]) < 2:
        return None
    methods = {
        model: {
            "label": report["labels"][model],
            "kind": report["kinds"][model],
            **_accuracies(report, model),
        }
        for model in report["models"]
        if _accuracies(report, model)
    }
    panels = [Panel(name, name, "accuracy, points of 100") for name in report["suites"]]
    return draw_dots(methods, panels, min(COLUMNS, len(panels)))


def _accuracies(report: Report, model: str) -> dict[str, float | None]:
    """By suite, in points, with the ends of the interval."""
    found: dict[str, float | None] = {}
    for name, suite in report["suites"].items():
        figures: Mapping[str, float | None] = suite["models"].get(model) or {}
        for ending in ("", "_low", "_high") if figures else ():
            value = figures[f"accuracy{ending}"]
            found[f"{name}{ending}"] = None if value is None else PERCENT * value
    return found


def draw_routes(report: Report) -> Any:
    """A bar per suite, divided by who answered; None where nothing was asked of `auto`."""
    routes: Mapping[str, Any] = report.get("routes") or {}
    if not routes:
        return None
    models = [m for m in report["models"] if any(m in route["shares"] for route in routes.values())]
    models += sorted({m for route in routes.values() for m in route["shares"]} - {*models})
    colors = dict(zip(models, (OURS, *PEERS, CONTROL) * len(models), strict=False))
    legend = 0.12 + LEGEND_ROW * -(-len(models) // COLUMNS)
    labels = [drawable(name, 170) for name in routes]
    margin = max(text_width(label) for label in labels) / 72 + 0.2
    figure = new_figure(legend + BELOW + BAR * len(routes) + 0.1)
    axes = add_axes(figure, margin, legend + BELOW, WIDTH - margin - 0.3, BAR * len(routes))
    for row, route in enumerate(routes.values()):
        _draw_bar(axes, row, route["shares"], colors)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set(xlim=(0, PERCENT), xlabel="answered by, % of prompts")
    axes.grid(visible=False, axis="y")
    patches = [axes.barh([0], [0], color=colors[model], label=drawable(model, 150)) for model in models]
    figure.legend(handles=patches, loc="lower center", ncols=COLUMNS, columnspacing=1.6)
    return figure


def _draw_bar(axes: Any, row: int, shares: Mapping[str, float], colors: Mapping[str, str]) -> None:
    left = 0.0
    for model, color in colors.items():
        share = shares.get(model, 0.0)
        if share:
            axes.barh([row], [PERCENT * share], left=left, height=0.7, color=color)
        if share >= NAMED:
            place = {"ha": "center", "va": "center_baseline", "fontsize": SMALL, "color": "white"}
            axes.text(left + PERCENT * share / 2, row, f"{PERCENT * share:.0f}", **place)
        left += PERCENT * share
    axes.spines["left"].set_color(INK)


MATRIX: tuple[Sketch, ...] = (
    Sketch(
        "accuracies",
        "Accuracy, suite by suite",
        "Mean score of every model with its 95 % interval over prompts. Each suite has its own scale.",
        draw_accuracies,
    ),
    Sketch(
        "routes",
        "Who answered what was asked of auto",
        "Share of the prompts of each suite that each model answered in the end, whoever was tried before.",
        draw_routes,
    ),
)
SUITE: tuple[Sketch, ...] = (
    Sketch(
        "risks",
        "Risk over coverage",
        "How many of the answers that are kept are wrong, when only the surest are kept. The confidence is "
        "the gate's where a route gave it, else the mean log-probability.",
        draw_risks,
    ),
)
