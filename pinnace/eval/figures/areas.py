"""Two figures of every method side by side: area under the hull, and accuracy among the small models."""

from collections.abc import Mapping
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

Report = Mapping[str, Any]
PANELS = (
    ("area", "area under the cost-quality hull"),
    ("small_accuracy", "accuracy among the small models"),
)
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


def draw_areas(report: Report) -> Any:
    """A dot and its 95 % interval per method, best area on top; None where no method has an area."""
    methods = _in_order(report["methods"])
    panels = [(key, title) for key, title in PANELS if any(m.get(key) is not None for m in methods.values())]
    if not panels:
        return None
    labels = [drawable(str(method["label"]), 170) for method in methods.values()]
    margin = max(text_width(label, weight="bold") for label in labels) / 72 + 0.2
    figure = new_figure(0.85 + ROW * len(methods))
    numbers = 0.45
    wide = (WIDTH - margin - 0.25 * (len(panels) - 1)) / len(panels) - numbers
    for column, (key, title) in enumerate(panels):
        left = margin + column * (wide + numbers + 0.25)
        axes = add_axes(figure, left, 0.5, wide, ROW * len(methods))
        _draw_panel(axes, methods, key)
        axes.set_title(title, loc="left", pad=6)
        axes.set_xlabel("points of 100")
        if column == 0:
            axes.set_yticks(range(len(labels)), labels)
            _mark_ours(axes, methods)
    return figure


def _in_order(methods: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By area, best first; those without one by small accuracy, last."""

    def rank(item: tuple[str, Mapping[str, Any]]) -> tuple[bool, float]:
        area = item[1].get("area")
        value = area if area is not None else item[1].get("small_accuracy")
        return area is None, -(value if value is not None else -1.0)

    return dict(sorted(methods.items(), key=rank))


def _draw_panel(axes: Any, methods: Mapping[str, Mapping[str, Any]], key: str) -> None:
    low, high = _range(methods, key)
    for row, method in enumerate(methods.values()):
        value = method.get(key)
        if value is None:
            continue
        color = COLORS[method["kind"]]
        weight = "bold" if method["kind"] == "ours" else "normal"
        place = {"va": "center_baseline", "fontsize": SMALL, "transform": axes.get_yaxis_transform()}
        axes.text(1.02, row, f"{value:.2f}", color=color, weight=weight, **place)
        if not low <= value <= high:
            is_left = value < low
            edge = {"ha": "left" if is_left else "right", "color": MUTED}
            axes.text(0.0 if is_left else 1.0, row, "◂" if is_left else "▸", **edge, **place)
            continue
        left, right = method.get(f"{key}_low"), method.get(f"{key}_high")
        if left is not None and right is not None:
            ends = (max(left, low), min(right, high))
            axes.plot(ends, (row, row), "-", color=color, linewidth=1.3)
        axes.plot([value], [row], "o", color=color, markersize=4.2 if weight == "bold" else 3.4)
        if method["kind"] == "ours":
            axes.axvline(value, color=color, linewidth=0.6, alpha=0.5, zorder=1)
    axes.set_xlim(low, high)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_yticks(range(len(methods)), [""] * len(methods))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)


def _range(methods: Mapping[str, Mapping[str, Any]], key: str) -> tuple[float, float]:
    """From the routers' lowest to their highest end, and to the controls as far as they lie near."""

    def ends(kinds: tuple[str, ...]) -> list[float]:
        names = (key, f"{key}_low", f"{key}_high")
        chosen = [method for method in methods.values() if method["kind"] in kinds]
        return [method[name] for method in chosen for name in names if method.get(name) is not None]

    routers = ends(("ours", "peer", "foreign")) or ends(("control", "bound"))
    low, high = min(routers), max(routers)
    near = FAR * max(high - low, 0.5)
    controls = [value for value in ends(("control",)) if low - near <= value <= high + near]
    low, high = min([low, *controls]), max([high, *controls])
    margin = 0.06 * max(high - low, 0.5)
    return low - margin, high + margin


def _mark_ours(axes: Any, methods: Mapping[str, Mapping[str, Any]]) -> None:
    for tick, method in zip(axes.get_yticklabels(), methods.values(), strict=True):
        tick.set_color(COLORS[method["kind"]])
        if method["kind"] == "ours":
            tick.set_weight("bold")
