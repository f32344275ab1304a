"""Reliability diagrams: how often answers are right against how often they were said to be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinnace.eval.figures.style import (
    FAINT,
    MUTED,
    OURS,
    PEERS,
    SMALL,
    WIDTH,
    add_axes,
    drawable,
    new_figure,
    short_names,
)

Report = Mapping[str, Any]
COLUMNS = 4
LEFT, BOTTOM, GAP, HEAD = 0.5, 0.45, 0.18, 0.36
"""Inches: margins, between diagrams, above each for its name."""
COLORS: Mapping[str, str] = {"estimate": OURS, "gate": PEERS[0]}
SAYS: Mapping[str, str] = {"estimate": "before the answer", "gate": "gate, after the answer"}


def draw_reliabilities(report: Report) -> Any:
    """A diagram per model and kind of confidence, with 95 % intervals and rows; None where there are none."""
    entries: Sequence[Mapping[str, Any]] = report.get("reliability") or ()
    if not entries:
        return None
    rows = -(-len(entries) // COLUMNS)
    side = (WIDTH - LEFT - 0.1 - GAP * (COLUMNS - 1)) / COLUMNS
    step = side + HEAD + 0.06
    figure = new_figure(BOTTOM + rows * step, min(WIDTH, LEFT + 0.1 + len(entries) * (side + GAP)))
    names = short_names(list(dict.fromkeys(str(entry["model"]) for entry in entries)))
    for i, entry in enumerate(entries):
        row, column = divmod(i, COLUMNS)
        axes = add_axes(figure, LEFT + column * (side + GAP), BOTTOM + (rows - 1 - row) * step, side, side)
        _draw_diagram(axes, entry, drawable(names[str(entry["model"])], 72 * side))
        is_lowest = i + COLUMNS >= len(entries)
        axes.set_xlabel("predicted" if is_lowest else "")
        axes.tick_params(labelbottom=is_lowest, labelleft=column == 0)
        axes.set_ylabel("observed" if column == 0 else "")
    return figure


def _draw_diagram(axes: Any, entry: Mapping[str, Any], name: str) -> None:
    color = COLORS.get(entry["what"], MUTED)
    said, right, low, high = (
        np.asarray(entry[key], dtype=np.float64) for key in ("confidence", "right", "low", "high")
    )
    axes.plot([0, 1], [0, 1], "-", color=MUTED, linewidth=0.7, zorder=1)
    axes.vlines(said, low, high, color=color, linewidth=1.0, zorder=2)
    axes.plot(said, right, "-", color=color, linewidth=0.8, alpha=0.4, zorder=2)
    axes.plot(said, right, "o", color=color, markersize=3, zorder=3, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    over = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(name, (0, 1), (0, 14), **over, fontsize=SMALL, weight="bold")
    axes.annotate(SAYS.get(entry["what"], entry["what"]), (0, 1), (0, 4), **over, fontsize=SMALL, color=color)
    axes.text(
        0.97,
        0.03,
        _counted(entry),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=SMALL,
        bbox={"facecolor": "white", "edgecolor": FAINT, "linewidth": 0, "pad": 1.5, "alpha": 0.85},
        zorder=4,
    )


def _counted(entry: Mapping[str, Any]) -> str:
    """The ECE, and how many answers the bins hold."""
    counts = np.asarray(entry["counts"], dtype=np.float64)
    least, most = round(float(counts.min())), round(float(counts.max()))
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"ECE {entry['ece']:.3f}\n{len(counts)} bins of {each}"
