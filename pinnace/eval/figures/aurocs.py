"""AUROC per task: the gate beside plainer confidences, and what it has over the plainest."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.eval.figures.lines import line_styles
from pinnace.eval.figures.style import (
    FAINT,
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
Row = tuple[str, Mapping[str, Any]]
SHOWN = ("gate", "estimate", "mean_logprob")
MARKERS = ("o", "s", "^")
OVER = "auroc_over_mean_logprob"
ROW, BELOW, ABOVE = 0.3, 0.8, 0.35
"""Inches: from task to task, under the tasks, over them."""
APART = 0.24
"""Rows between the confidences of one task."""


def draw_aurocs(report: Report) -> Any:
    """A row per task, all together on top; None where no AUROC is defined."""
    rows = _rows(report)
    if not rows:
        return None
    names = [drawable(name, 150) for name, _ in rows]
    margin = max(text_width(name, weight="bold") for name in names) / 72 + 0.2
    counts = [f"{figures['rows']:,} · {100 * figures['accuracy']:.0f} %" for _, figures in rows]
    beside = max(text_width(each) for each in [*counts, "rows · right"]) / 72 + 0.2
    wide = (WIDTH - margin - beside - 0.35) / 2
    figure = new_figure(BELOW + ABOVE + ROW * len(rows))
    left = add_axes(figure, margin, BELOW, wide, ROW * len(rows))
    right = add_axes(figure, margin + wide + 0.25, BELOW, wide, ROW * len(rows))
    _draw_values(left, report, [figures for _, figures in rows])
    _draw_leads(right, [figures for _, figures in rows])
    for axes in (left, right):
        _trim(axes, len(rows))
    left.set_yticks(range(len(names)), names)
    left.get_yticklabels()[0].set_weight("bold")
    _write(right, ["rows · right", *counts])
    lines, labels = left.get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=len(SHOWN), handletextpad=0.3)
    return figure


def _rows(report: Report) -> list[Row]:
    """All rows together, then the tasks, the gate's best first; those without an AUROC are left out."""
    tasks: Mapping[str, Any] = report.get("tasks") or {}
    known = [(name, each) for name, each in tasks.items() if _auroc(each) is not None]
    known.sort(key=lambda row: -(_auroc(row[1]) or 0.0))
    together: Sequence[Row] = [("all", report)] if _auroc(report) is not None else []
    return [*together, *known]


def _auroc(figures: Mapping[str, Any]) -> float | None:
    return figures["methods"]["gate"]["auroc"]


def _draw_values(axes: Any, report: Report, rows: Sequence[Mapping[str, Any]]) -> None:
    styles = line_styles({name: report["kinds"][name] for name in SHOWN})
    for at, (name, style) in enumerate(styles.items()):
        color, label = style["color"], drawable(report["labels"][name])
        found = [each["methods"][name] for each in rows]
        heights = [row + APART * (at - 1) for row in range(len(rows))]
        known = [(f, y) for f, y in zip(found, heights, strict=True) if f["auroc"] is not None]
        for figures, height in known:
            axes.plot(
                [figures["auroc_low"], figures["auroc_high"]], [height] * 2, "-", color=color, linewidth=1
            )
        dots = [figures["auroc"] for figures, _ in known], [height for _, height in known]
        axes.plot(*dots, MARKERS[at], color=color, markersize=3.6, label=label, linestyle="none")
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    axes.set_xlabel("AUROC (0.5: no better than chance)")


def _draw_leads(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """The gate minus the mean log-probability, paired; filled dots where the interval leaves out zero."""
    for row, figures in enumerate(rows):
        value, low, high = figures[OVER], figures[f"{OVER}_low"], figures[f"{OVER}_high"]
        if value is None:
            continue
        is_sure = low is not None and high is not None and (low > 0 or high < 0)
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], "-", color=OURS if is_sure else MUTED, linewidth=1.1)
        face = OURS if is_sure else "white"
        axes.plot([value], [row], "o", color=OURS if is_sure else MUTED, markerfacecolor=face, markersize=3.8)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_xlabel("gate minus mean log-probability")


def _trim(axes: Any, rows: int) -> None:
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_yticks(range(rows), [""] * rows)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
    axes.locator_params(axis="x", nbins=6)


def _write(axes: Any, cells: Sequence[str]) -> None:
    """The heading and the cells of the column to the right."""
    for row, cell in enumerate(cells, start=-1):
        weight = "bold" if row < 0 else "normal"
        place = {"va": "center_baseline", "fontsize": SMALL, "transform": axes.get_yaxis_transform()}
        axes.text(1.04, row + (0.15 if row < 0 else 0), cell, weight=weight, **place)
