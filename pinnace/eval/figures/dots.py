"""Dots with intervals: every method in a row, every figure in a panel, one scale to a panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.eval.figures.style import (
    BOUND,
    CONTROL,
    FAINT,
    FOREIGN,
    INK,
    MUTED,
    OURS,
    SMALL,
    WIDTH,
    add_axes,
    drawable,
    new_figure,
    text_width,
)
from pinnace.eval.report_words import decimals, number

Methods = Mapping[str, Mapping[str, Any]]
COLORS: Mapping[str, str] = {
    "ours": OURS,
    "peer": INK,
    "control": CONTROL,
    "bound": BOUND,
    "foreign": FOREIGN,
}
ROW = 0.2
"""Inches from method to method."""
FAR = 1.5
"""A bound, or a method this many times the range of the routers below them, is written and not drawn."""
GAP, BELOW, ABOVE = 0.25, 0.5, 0.35
"""Inches: between panels, under a row of panels for its axis, and over it for the titles."""
PAD, LEGEND = 0.12, 0.22
"""Inches: between a panel and its numbers, and for the legend at the foot."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure by its key in each method (with `_low` and `_high`), its title and its unit.

    `published` is a number to compare with, drawn as a dashed line.
    """

    key: str
    title: str
    unit: str
    published: float | None = None


def draw_dots(methods: Methods, panels: Sequence[Panel], columns: int) -> Any:
    """A dot and its 95 % interval per method in each panel, in the order of `methods`.

    :param methods: each with `label`, `kind` and its figures.
    :param columns: panels side by side.
    """
    labels = [drawable(str(method["label"]), 170) for method in methods.values()]
    margin = max(text_width(label, weight="bold") for label in labels) / 72 + 0.2
    places = [decimals(*(method.get(panel.key) for method in methods.values())) for panel in panels]
    numbers = (
        max(_widest(methods, panel, each) for panel, each in zip(panels, places, strict=True)) / 72 + PAD
    )
    wide = (WIDTH - margin - GAP * (columns - 1)) / columns - numbers
    high, rows = ROW * len(methods), -(-len(panels) // columns)
    step = high + BELOW + ABOVE
    foot = LEGEND if any(panel.published is not None for panel in panels) else 0.0
    figure = new_figure(foot + rows * step)
    for at, (panel, each) in enumerate(zip(panels, places, strict=True)):
        row, column = divmod(at, columns)
        left = margin + column * (wide + numbers + GAP)
        axes = add_axes(figure, left, foot + BELOW + (rows - 1 - row) * step, wide, high)
        _draw_panel(axes, methods, panel, each, wide + numbers)
        if column == 0:
            axes.set_yticks(range(len(labels)), labels)
            _mark_ours(axes, methods)
    if foot:
        lines = next(each for axes in figure.axes if (each := axes.get_legend_handles_labels()[0]))
        figure.legend(
            lines, ["published"], loc="lower left", bbox_to_anchor=(margin / WIDTH, 0.0), borderaxespad=0
        )
    return figure


def _widest(methods: Methods, panel: Panel, places: int) -> float:
    """The widest number of a panel, in points."""
    written = [number(method.get(panel.key), places) for method in methods.values()]
    return max(text_width(each, weight="bold") for each in written)


def _draw_panel(axes: Any, methods: Methods, panel: Panel, places: int, room: float) -> None:
    low, high = _range(methods, panel)
    for row, method in enumerate(methods.values()):
        if method.get(panel.key) is not None:
            _draw_method(axes, row, method, panel.key, (low, high), places)
    if panel.published is not None:
        line = {"color": FOREIGN, "linewidth": 1.0, "linestyle": (0, (3, 2)), "zorder": 1.5}
        axes.axvline(panel.published, label="published", **line)
    axes.set_title(drawable(panel.title, 72 * room, SMALL), loc="left", pad=6, fontsize=SMALL)
    axes.set_xlabel(panel.unit, fontsize=SMALL)
    axes.set_xlim(low, high)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_yticks(range(len(methods)), [""] * len(methods))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=max(2, round(2.2 * axes.get_window_extent().width / 72)))


def _draw_method(
    axes: Any, row: int, method: Mapping[str, Any], key: str, reach: tuple[float, float], places: int
) -> None:
    value, (low, high) = method[key], reach
    color = COLORS[method["kind"]]
    weight = "bold" if method["kind"] == "ours" else "normal"
    place = {"va": "center_baseline", "fontsize": SMALL, "transform": axes.get_yaxis_transform()}
    beyond = 1 + 72 * 0.04 / axes.get_window_extent().width
    axes.text(beyond, row, number(value, places), color=color, weight=weight, **place)
    if not low <= value <= high:
        is_left = value < low
        edge = {"ha": "left" if is_left else "right", "color": MUTED}
        axes.text(0.0 if is_left else 1.0, row, "◂" if is_left else "▸", **edge, **place)
        return
    left, right = method.get(f"{key}_low"), method.get(f"{key}_high")
    if left is not None and right is not None:
        ends = (max(left, low), min(right, high))
        axes.plot(ends, (row, row), "-", color=color, linewidth=1.3)
    size = 4.2 if weight == "bold" else 3.4
    axes.plot([value], [row], "o", color=color, markersize=size, clip_on=False)
    if method["kind"] == "ours":
        axes.axvline(value, color=color, linewidth=0.6, alpha=0.5, zorder=1)


def _range(methods: Methods, panel: Panel) -> tuple[float, float]:
    """From the routers' lowest to their highest end, and to what else lies near: controls, and the published
    number."""

    def ends(kinds: tuple[str, ...]) -> list[float]:
        names = (panel.key, f"{panel.key}_low", f"{panel.key}_high")
        chosen = [method for method in methods.values() if method["kind"] in kinds]
        return [method[name] for method in chosen for name in names if method.get(name) is not None]

    routers = ends(("ours", "peer", "foreign")) or ends(("control", "bound"))
    low, high = min(routers), max(routers)
    least = 0.5 * 10.0 ** -(decimals(low, high) - 2)  # half a point of 100, and as little of a share
    near = FAR * max(high - low, least)
    others = ends(("control",)) + ([] if panel.published is None else [panel.published])
    kept = [value for value in others if low - near <= value <= high + near]
    low, high = min([low, *kept]), max([high, *kept])
    margin = 0.06 * max(high - low, least)
    return low - margin, high + margin


def _mark_ours(axes: Any, methods: Methods) -> None:
    for tick, method in zip(axes.get_yticklabels(), methods.values(), strict=True):
        tick.set_color(COLORS[method["kind"]])
        if method["kind"] == "ours":
            tick.set_weight("bold")
