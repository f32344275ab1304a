"""Quality over cost: the members and the bounds in one figure, the routers close up in another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinnace.eval.figures.lines import BLIND, line_styles, put_letter
from pinnace.eval.figures.places import place_labels
from pinnace.eval.figures.style import (
    INK,
    MUTED,
    SMALL,
    WIDTH,
    add_axes,
    drawable,
    matplotlib_part,
    new_figure,
    short_names,
    text_width,
)
from pinnace.eval.table import FloatArray

Report = Mapping[str, Any]
LOG_RANGE = 20.0
"""A cost axis whose ends are further apart than this, as a ratio, is logarithmic."""
PER = 1000
"""Costs are shown in USD for so many requests."""
ALREADY_DOTS = ("best_single", "cheapest")
"""Controls that are one model each: the curves would only repeat the dots."""
POINTS = 300
COST_LABEL = "mean cost, USD per 1,000 requests"
QUALITY_LABEL = "quality, points of 100"


def drawn_methods(report: Report) -> dict[str, Mapping[str, Any]]:
    """The methods that have a curve, best area first."""
    methods = {
        name: each
        for name, each in report["methods"].items()
        if name not in ALREADY_DOTS and each.get("curve") and None not in each["curve"]["quality"]
    }
    return dict(sorted(methods.items(), key=lambda item: -(item[1].get("area") or 0.0)))


def draw_cost_quality(report: Report) -> Any:
    """The members as dots, and the hulls of ours, of the controls and of the oracle."""
    figure = new_figure(3.75)
    axes = add_axes(figure, 0.55, 0.5, WIDTH - 0.7, 2.95)
    styles = _styles(report)
    shown = {n: m for n, m in drawn_methods(report).items() if m["kind"] in ("ours", "control", "bound")}
    scale_costs(axes, report)
    lines = [_draw_curve(axes, report, method, styles[name]) for name, method in shown.items()]
    singles = _placed_singles(report)
    names = short_names(list(singles))
    dots = np.array(list(singles.values())).reshape(-1, 2)
    axes.plot(dots[:, 0], dots[:, 1], "o", color=INK, markersize=3.6, zorder=6, label="single model")
    axes.margins(y=0.06)
    axes.set(xlabel=COST_LABEL, ylabel=QUALITY_LABEL)
    axes.set_ylim(*axes.get_ylim())
    _name_dots(axes, list(names.values()), dots, np.concatenate(lines) if lines else dots)
    _legend_above(axes)
    return figure


def draw_routers(report: Report) -> Any:
    """All routers: their hulls, and what each has over the content-blind mix at equal cost."""
    methods = {
        name: method
        for name, method in drawn_methods(report).items()
        if method["kind"] in ("ours", "peer", "foreign") or name == BLIND
    }
    columns = 3
    rows = -(-len(methods) // columns)
    bottom = 0.62 + 0.17 * rows
    figure = new_figure(bottom + 2.85)
    wide = (WIDTH - 1.25) / 2
    styles = _styles(report)
    left = add_axes(figure, 0.55, bottom, wide, 2.55)
    right = add_axes(figure, 0.55 + wide + 0.6, bottom, wide, 2.55)
    for axes in (left, right):
        scale_costs(axes, report)
        axes.set_xlabel(COST_LABEL)
    for name, method in methods.items():
        _draw_curve(left, report, method, {**styles[name], "label": _with_area(method)})
    left.set_ylabel(QUALITY_LABEL)
    _draw_differences(right, report, methods, styles)
    put_letter(left, "a", "upper hull")
    put_letter(right, "b", "difference to the content-blind mix")
    lines, labels = left.get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=columns, handlelength=2.6, columnspacing=1.6)
    return figure


def scale_costs(axes: Any, report: Report) -> None:
    """The cost axis: logarithmic where costs are far apart, with a margin on both sides, in plain numbers."""
    costs = [cost for cost, _ in _placed_singles(report).values()]
    costs += [
        PER * method["curve"]["cost"][end] for method in drawn_methods(report).values() for end in (0, -1)
    ]
    low, high = min(costs), max(costs)
    if low > 0 and high / low > LOG_RANGE:
        axes.set_xscale("log")
        margin = (high / low) ** 0.04
        axes.set_xlim(low / margin, high * margin)
        ticker = matplotlib_part("ticker")
        subs = (1.0,) if high / low > 2000 else (1.0, 3.0) if high / low > 60 else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(ticker.LogLocator(base=10, subs=subs))
        axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    else:
        margin = 0.04 * (high - low) or 0.04 * high or 1.0
        axes.set_xlim(low - margin, high + margin)


def _styles(report: Report) -> dict[str, dict[str, Any]]:
    return line_styles({name: method["kind"] for name, method in report["methods"].items()})


def _placed_singles(report: Report) -> dict[str, tuple[float, float]]:
    """Cost, as it is shown, and quality of the models that have both."""
    return {
        model: (PER * each["cost"], each["quality"])
        for model, each in report["singles"].items()
        if each["cost"] is not None and each["quality"] is not None
    }


def _draw_curve(axes: Any, report: Report, method: Mapping[str, Any], style: Mapping[str, Any]) -> FloatArray:
    """Draw one hull, ours with its band; its points, (p, 2) in the axes' units."""
    costs, quality, low, high = _dense(axes, method["curve"])
    style = {"label": drawable(str(method["label"])), **style}
    axes.plot(costs, quality, **style)
    if method["kind"] == "ours" and low is not None and high is not None:
        axes.fill_between(costs, low, high, color=style["color"], alpha=0.16, linewidth=0, zorder=1.5)
    return np.stack([costs, quality], axis=1)


def _dense(
    axes: Any, curve: Mapping[str, Sequence[float] | None]
) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray | None]:
    """The curve at points close enough that its straight pieces bend as they must on a logarithmic axis."""
    costs = PER * np.asarray(curve["cost"], dtype=np.float64)
    low, high = float(costs[0]), float(costs[-1])
    is_log = axes.get_xscale() == "log" and low > 0
    between = np.geomspace(low, high, POINTS) if is_log else np.linspace(low, high, POINTS)
    dense = np.unique(np.clip(np.concatenate([costs, between]), low, high))

    def at(name: str) -> FloatArray | None:
        values = curve.get(name)
        return None if values is None else np.interp(dense, costs, np.asarray(values, dtype=np.float64))

    quality = at("quality")
    assert quality is not None, "a curve has qualities"
    return dense, quality, at("low"), at("high")


def _draw_differences(
    axes: Any,
    report: Report,
    methods: Mapping[str, Mapping[str, Any]],
    styles: Mapping[str, Mapping[str, Any]],
) -> None:
    """Each method's hull minus that of the content-blind mix, over the costs that both have."""
    axes.set_ylabel("points above the mix")
    blind = report["methods"].get(BLIND, {}).get("curve")
    if not blind:
        axes.text(0.5, 0.5, "no content-blind mix", ha="center", transform=axes.transAxes, color=MUTED)
        return
    base_costs, base, _, _ = _dense(axes, blind)
    for name, method in methods.items():
        costs, quality, _, _ = _dense(axes, method["curve"])
        inside = (costs >= base_costs[0]) & (costs <= base_costs[-1])
        over = quality - np.interp(costs, base_costs, base)
        axes.plot(costs[inside], over[inside], **styles[name])


def _with_area(method: Mapping[str, Any]) -> str:
    label = drawable(str(method["label"]), 130)
    area = method.get("area")
    return label if area is None else f"{label} ({area:.2f})"


def _legend_above(axes: Any) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=5,
        handlelength=2.6,
        columnspacing=1.6,
        borderaxespad=0.3,
    )


def _name_dots(axes: Any, names: Sequence[str], dots: FloatArray, lines: FloatArray) -> None:
    """Write each model's name near its dot, off the other names, the dots and the lines."""
    shown = [drawable(name, 150) for name in names]
    anchors: FloatArray = axes.transData.transform(dots)
    sizes = np.array([(text_width(name) + 3, SMALL * 1.2) for name in shown])
    box = axes.get_window_extent()
    centres = place_labels(
        anchors,
        sizes,
        np.full(len(anchors), 2.2),
        axes.transData.transform(lines),
        (box.x0 + 2, box.y0 + 2, box.x1 - 1, box.y1 - 1),
    )
    for name, dot, anchor, centre, size in zip(shown, dots, anchors, centres, sizes, strict=True):
        gap = np.abs(centre - anchor) - size / 2
        is_far = float(np.hypot(*np.maximum(gap, 0))) > 8
        axes.annotate(
            name,
            dot,
            centre - anchor,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SMALL,
            zorder=7,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 2}
            if is_far
            else None,
        )
