"""Risk over coverage: how often the answers that are kept are wrong, the surest kept first."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnace.eval.figures.lines import line_styles
from pinnace.eval.figures.style import WIDTH, add_axes, drawable, new_figure

Report = Mapping[str, Any]
COLUMNS = 3


def draw_risks(report: Report) -> Any:
    """The curve of every confidence, the gate's with its interval; None where there are none."""
    risks: Mapping[str, Any] = report.get("risks") or {}
    if not risks:
        return None
    curves: Mapping[str, Any] = risks["curves"]
    kinds: dict[str, str] = {name: report["kinds"][name] for name in curves}
    legend = 0.12 + 0.17 * -(-len(curves) // COLUMNS)
    figure = new_figure(legend + 3.1)
    axes = add_axes(figure, 0.55, legend + 0.5, WIDTH - 0.7, 2.5)
    coverage = 100 * np.asarray(risks["coverage"])
    for name, style in line_styles(kinds).items():
        curve = curves[name]
        axes.plot(coverage, curve["risk"], label=_with_area(report, name), **style)
        if kinds[name] == "ours":
            ends = curve["low"], curve["high"]
            axes.fill_between(coverage, *ends, color=style["color"], alpha=0.16, linewidth=0, zorder=1.5)
    axes.set(xlabel="answers kept, % of all", ylabel="wrong among those kept, %", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=COLUMNS, handlelength=2.6, columnspacing=1.6)
    return figure


def _with_area(report: Report, name: str) -> str:
    label = drawable(report["labels"][name])
    area = report["methods"].get(name, {}).get("aurc")
    return label if area is None else f"{label} ({area:.3f})"
