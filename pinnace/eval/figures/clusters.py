"""The clusters of a table: a map of them, and what the large model adds in each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinnace.eval.figures.places import place_labels, push_apart
from pinnace.eval.figures.style import (
    FAINT,
    INK,
    MUTED,
    SMALL,
    WIDTH,
    add_axes,
    drawable,
    is_drawable,
    matplotlib_part,
    new_figure,
    short_names,
    text_width,
)
from pinnace.eval.table import FloatArray

Report = Mapping[str, Any]
FILLED = 0.1
"""The share of the map that bubbles cover."""
SMALLEST = 6.0
"""Points: the radius that a number fits into."""
ROW = 0.19
"""Inches from cluster to cluster."""
MAP_WORDS = 2
ENOUGH = 30
"""Rows below which a cluster's gain does not set the scale of colours."""


def draw_map(report: Report) -> Any:
    """Bubbles as large as the clusters, coloured by the gain of escalating; None where none has a place."""
    clusters: Sequence[Mapping[str, Any]] = report.get("clusters") or ()
    if not clusters or any(each.get("x") is None or each.get("y") is None for each in clusters):
        return None
    figure = new_figure(4.5)
    across, up = WIDTH - 0.95, 4.3
    axes = add_axes(figure, 0.1, 0.1, across, up)
    axes.set(xlim=(0, across * 72), ylim=(0, up * 72), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)
    shares = np.array([each["share"] for each in clusters])
    radii = np.maximum(np.sqrt(FILLED * across * up * 72**2 * shares / shares.sum() / np.pi), SMALLEST)
    bounds = (4.0, 4.0, across * 72 - 4, up * 72 - 4)
    places = push_apart(_stretched(clusters, radii, bounds), radii + 5.5, bounds)
    colors = _color_bar(figure, add_axes(figure, WIDTH - 0.7, 0.35, 0.12, up - 0.5), clusters)
    _draw_bubbles(axes, places, radii, colors)
    _name_bubbles(axes, clusters, places, radii, bounds)
    return figure


def draw_gains(report: Report) -> Any:
    """Per cluster the gain of escalating with its interval or, without a large model, the best quality."""
    every: Sequence[Mapping[str, Any]] = report.get("clusters") or ()
    clusters = list(enumerate(every, start=1))
    if not clusters:
        return None
    is_gain = any(each.get("gain") is not None for _, each in clusters)
    key = "gain" if is_gain else "best_small_quality"
    clusters = sorted(
        ((n, each) for n, each in clusters if each.get(key) is not None), key=lambda pair: -pair[1][key]
    )
    figure = new_figure(0.8 + ROW * len(clusters))
    names = [numbered(number, each, 165) for number, each in clusters]
    margin = max(text_width(name) for name in names) / 72 + 0.15
    columns = _columns(report, [each for _, each in clusters], is_gain=is_gain)
    widths = [max(text_width(cell) for cell in [head, *cells]) / 72 + 0.14 for head, cells in columns]
    wide = WIDTH - margin - sum(widths) - 0.1
    axes = add_axes(figure, margin, 0.5, wide, ROW * len(clusters))
    _draw_forest(axes, [each for _, each in clusters], key)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(
        "gain of escalating, points of 100" if is_gain else "quality of the best model, points of 100"
    )
    _write_columns(axes, columns, widths, wide)
    return figure


def numbered(number: int, cluster: Mapping[str, Any], limit: float) -> str:
    """A cluster's number and its words, where the font has them."""
    label = " ".join(str(cluster["label"]).split())
    return drawable(f"{number} {label}", limit) if is_drawable(label) else f"cluster {number}"


def _stretched(
    clusters: Sequence[Mapping[str, Any]], radii: FloatArray, bounds: Sequence[float]
) -> FloatArray:
    """The clusters' places, each axis stretched to fill the map."""
    places = np.array([(each["x"], each["y"]) for each in clusters], dtype=np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    unit = np.where(high > low, (places - low) / np.where(high > low, high - low, 1.0), 0.5)
    room = np.array([50.0, 16.0]) + radii.max()
    start, end = np.asarray(bounds[:2]) + room, np.asarray(bounds[2:]) - room
    return start + unit * (end - start)


def _color_bar(figure: Any, axes: Any, clusters: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Draw the scale of colours; the colour of each cluster. Gains share one scale on both sides of zero."""
    colors, cm = matplotlib_part("colors"), matplotlib_part("cm")
    gains = [each.get("gain") for each in clusters]
    if any(gain is not None for gain in gains):
        reach = _reach(clusters)
        scale, values, label = colors.Normalize(-reach, reach), gains, "gain of escalating, points"
        name = "RdBu"
    else:
        values = [each.get("best_small_quality") for each in clusters]
        known = [value for value in values if value is not None] or [0.0]
        scale, label = (
            colors.Normalize(min(known), max(max(known), min(known) + 1)),
            "quality of the best model",
        )
        name = "cividis"
    mapped = cm.ScalarMappable(scale, name)
    is_beyond = any(value is not None and not scale.vmin <= value <= scale.vmax for value in values)
    bar = figure.colorbar(mapped, cax=axes, extend="both" if is_beyond else "neither")
    bar.outline.set_visible(False)
    bar.solids.set(rasterized=False, edgecolor="face")  # else it is a bitmap, which a page's rules shut out
    bar.set_label(label, labelpad=7)
    axes.tick_params(labelsize=SMALL)
    return [FAINT if value is None else mapped.to_rgba(value) for value in values]


def _reach(clusters: Sequence[Mapping[str, Any]]) -> float:
    """The largest gain, or loss, of a cluster with enough rows to tell; of any where none has."""
    gains = [(each["rows"], abs(each["gain"])) for each in clusters if each.get("gain") is not None]
    sure = [gain for rows, gain in gains if rows >= ENOUGH]
    return max([*(sure or [gain for _, gain in gains]), 1.0])


def _draw_bubbles(axes: Any, places: FloatArray, radii: FloatArray, colors: Sequence[Any]) -> None:
    circle = matplotlib_part("patches").Circle
    to_rgb = matplotlib_part("colors").to_rgb
    for number, (place, radius, color) in enumerate(zip(places, radii, colors, strict=True), start=1):
        axes.add_patch(circle(place, radius, facecolor=color, edgecolor=MUTED, linewidth=0.6, zorder=2))
        light = float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))
        ink = "white" if light < 0.5 else INK
        axes.text(*place, str(number), ha="center", va="center_baseline", fontsize=SMALL, color=ink, zorder=3)


def _name_bubbles(
    axes: Any,
    clusters: Sequence[Mapping[str, Any]],
    places: FloatArray,
    radii: FloatArray,
    bounds: Sequence[float],
) -> None:
    """Write the first words beside each bubble; a thin line leads there when they stand far off."""
    names = [_words(number, each) for number, each in enumerate(clusters, start=1)]
    sizes = np.array([(text_width(name) + 3 if name else 0.0, SMALL * 1.2) for name in names])
    centres = place_labels(places, sizes, radii, np.empty((0, 2)), bounds)
    for name, place, radius, centre, size in zip(names, places, radii, centres, sizes, strict=True):
        axes.text(*centre, name, ha="center", va="center", fontsize=SMALL, zorder=4)
        end = np.clip(place, centre - size / 2, centre + size / 2)
        if name and np.hypot(*(end - place)) > radius + 8:
            axes.plot(*np.stack([place, end], axis=1), "-", color=MUTED, linewidth=0.5, zorder=1)


def _words(number: int, cluster: Mapping[str, Any]) -> str:
    """The number and the first words; nothing where the font lacks them: the number is in the bubble."""
    label = ", ".join(" ".join(str(cluster["label"]).split()).split(", ")[:MAP_WORDS])
    return drawable(f"{number} {label}", 120) if is_drawable(label) else ""


def _draw_forest(axes: Any, clusters: Sequence[Mapping[str, Any]], key: str) -> None:
    for row, each in enumerate(clusters):
        low, high = each.get(f"{key}_low"), each.get(f"{key}_high")
        is_sure = low is None or high is None or low > 0 or high < 0
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], "-", color=INK if is_sure else MUTED, linewidth=1.0)
        face = INK if is_sure else "white"
        axes.plot(
            [each[key]], [row], "o", color=INK if is_sure else MUTED, markerfacecolor=face, markersize=3.6
        )
    if key == "gain":
        axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_ylim(len(clusters) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _columns(
    report: Report, clusters: Sequence[Mapping[str, Any]], *, is_gain: bool
) -> list[tuple[str, list[str]]]:
    """What stands to the right of the forest: a heading and a cell per cluster."""
    names = short_names(list(dict.fromkeys([*report["small"], *(each["best_small"] for each in clusters)])))
    columns = [
        ("rows", [f"{each['rows']:,}" for each in clusters]),
        (
            "best small model" if is_gain else "best model",
            [drawable(names[each["best_small"]], 125) for each in clusters],
        ),
    ]
    if is_gain:
        columns.append(("small", [_points(each.get("best_small_quality")) for each in clusters]))
        columns.append(("large", [_points(each.get("large_quality")) for each in clusters]))
    return columns


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _write_columns(
    axes: Any, columns: Sequence[tuple[str, Sequence[str]]], widths: Sequence[float], wide: float
) -> None:
    """Write the columns beside the axes; the model's name to the left, numbers to the right."""
    at = wide + 0.1
    for (head, cells), width in zip(columns, widths, strict=True):
        is_name = "model" in head
        x = (at if is_name else at + width - 0.14) / wide
        place = {
            "transform": axes.get_yaxis_transform(),
            "ha": "left" if is_name else "right",
            "fontsize": SMALL,
        }
        axes.text(x, -1.1, head, va="center_baseline", color=MUTED, **place)
        for row, cell in enumerate(cells):
            axes.text(x, row, cell, va="center_baseline", **place)
        at += width
