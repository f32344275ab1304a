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
BOLD = 0.86
"""Letters as they are measured over bold ones, as names are written."""
COLORS: Mapping[str, str] = {
    "gate": OURS,
    "estimate": PEERS[0],
    "mean_logprob": PEERS[1],
    "uncalibrated": MUTED,
}
"""Where one figure has several kinds of confidence; one alone is ours."""
SAYS: Mapping[str, str] = {
    "estimate": "before the answer",
    "mean_logprob": "mean log-probability",
    "uncalibrated": "gate, not calibrated",
    "gate": "gate, calibrated",
}


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
    kinds = {str(entry["what"]) for entry in entries}
    for i, entry in enumerate(entries):
        row, column = divmod(i, COLUMNS)
        axes = add_axes(figure, LEFT + column * (side + GAP), BOTTOM + (rows - 1 - row) * step, side, side)
        color = COLORS.get(entry["what"], MUTED) if len(kinds) > 1 else OURS
        _draw_diagram(axes, entry, color)
        _head(axes, drawable(names[str(entry["model"])], BOLD * 72 * side), str(entry["what"]), color)
        is_lowest = i + COLUMNS >= len(entries)
        axes.set_xlabel("predicted" if is_lowest else "")
        axes.tick_params(labelbottom=is_lowest, labelleft=column == 0)
        axes.set_ylabel("observed" if column == 0 else "")
    return figure


def _head(axes: Any, name: str, what: str, color: str) -> None:
    """The model, and under it the kind of confidence."""
    over = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": SMALL}
    axes.annotate(name, (0, 1), (0, 14), **over, weight="bold")
    axes.annotate(SAYS.get(what, what), (0, 1), (0, 4), **over, color=color)


def _draw_diagram(axes: Any, entry: Mapping[str, Any], color: str) -> None:
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
    is_low = bool((right < 0.3).any() and (said[right < 0.3] > 0.4).any())
    axes.text(
        *((0.03, 0.97) if is_low else (0.97, 0.03)),
        _counted(entry),
        transform=axes.transAxes,
        ha="left" if is_low else "right",
        va="top" if is_low else "bottom",
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
