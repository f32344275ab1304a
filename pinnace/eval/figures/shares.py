"""Accuracy over the share of calls to the large model, and what of it is more than blind."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.eval.figures.lines import BLIND, KINDS, line_styles, put_letter
from pinnace.eval.figures.style import INK, MUTED, SMALL, WIDTH, add_axes, drawable, new_figure
from pinnace.eval.report_words import WORDS

Report = Mapping[str, Any]
Styles = Mapping[str, Mapping[str, Any]]
HIGH, BELOW, ABOVE = 2.3, 0.5, 0.32
"""Inches: of the axes, under them for labels, over them for titles."""
LEFT, BETWEEN = 0.6, 0.72
COLUMNS, LEGEND_ROW = 3, 0.17
RECOVERED = (50, 80)
"""Percents of the gap between the models at which CPT is marked."""
FAR = 0.7
"""A share from which on its mark is written to the left."""
LETTERS = "abcdefghijklmnop"


def draw_shares(report: Report) -> Any:
    """For each pair of models the accuracies, and the differences to the content-blind mix; None without."""
    pairs: Sequence[Mapping[str, Any]] = report.get("pairs") or ()
    if not pairs:
        return None
    names = list(pairs[0]["curves"])
    kinds: dict[str, str] = {name: report["kinds"][name] for name in names}
    styles = {
        name: {**style, "label": drawable(report["labels"][name])}
        for name, style in line_styles(kinds).items()
    }
    styles[BLIND] = {**KINDS["control"], "label": "content-blind mix"}
    legend = 0.12 + LEGEND_ROW * -(-len(styles) // COLUMNS)
    step = HIGH + BELOW + ABOVE
    figure = new_figure(legend + step * len(pairs))
    wide = (WIDTH - LEFT - BETWEEN - 0.1) / 2
    for row, pair in enumerate(pairs):
        bottom = legend + BELOW + (len(pairs) - 1 - row) * step
        for column, draw in enumerate((_draw_accuracies, _draw_differences)):
            axes = add_axes(figure, LEFT + column * (wide + BETWEEN), bottom, wide, HIGH)
            axes.set(xlabel="calls to the large model, % of all", xlim=(0, 100))
            said = draw(axes, pair, kinds, styles)
            put_letter(axes, LETTERS[2 * row + column], drawable(said, 72 * wide - 12))
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=COLUMNS, handlelength=2.6, columnspacing=1.6)
    return figure


def _calls(pair: Mapping[str, Any]) -> list[float]:
    """The shares of calls, in percent."""
    return [100 * share for share in pair["share"]]


def _draw_accuracies(axes: Any, pair: Mapping[str, Any], kinds: Mapping[str, str], styles: Styles) -> str:
    """Every curve; and where ours has recovered half, and four fifths, of the gap."""
    for name, curve in pair["curves"].items():
        axes.plot(_calls(pair), curve["accuracy"], **styles[name])
    axes.plot([0, 100], [pair["weak"], pair["strong"]], **styles[BLIND])
    axes.set_ylabel("accuracy, points of 100")
    axes.set_ylim(*axes.get_ylim())
    for name, curve in pair["curves"].items():
        if kinds[name] == "ours" and pair["strong"] > pair["weak"]:
            _mark_recovered(axes, pair, curve)
    return WORDS.get(pair["name"], str(pair["name"]))


def _mark_recovered(axes: Any, pair: Mapping[str, Any], curve: Mapping[str, Any]) -> None:
    floor = axes.get_ylim()[0]
    for line, percent in enumerate(RECOVERED):
        share = curve[f"cpt{percent}"]
        if share is None:
            continue
        height = pair["weak"] + percent / 100 * (pair["strong"] - pair["weak"])
        axes.vlines(100 * share, floor, height, color=MUTED, linewidth=0.6, zorder=1)
        axes.plot([100 * share], [height], "o", color="white", markeredgecolor=INK, markersize=4.5, zorder=6)
        is_far = share > FAR
        axes.annotate(
            f"CPT({percent}) {100 * share:.0f} %",
            (100 * share, floor),
            (-4 if is_far else 4, 5 + 12 * line),
            textcoords="offset points",
            ha="right" if is_far else "left",
            fontsize=SMALL,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            zorder=2.5,
        )


def _draw_differences(axes: Any, pair: Mapping[str, Any], kinds: Mapping[str, str], styles: Styles) -> str:
    """Every method but the bound, ours with its paired interval."""
    for name, curve in pair["curves"].items():
        if kinds[name] == "bound":
            continue
        axes.plot(_calls(pair), curve["over_blind"], **styles[name])
        if kinds[name] == "ours":
            ends = curve["over_blind_low"], curve["over_blind_high"]
            axes.fill_between(
                _calls(pair), *ends, color=styles[name]["color"], alpha=0.16, linewidth=0, zorder=1.5
            )
    axes.axhline(0, **styles[BLIND])
    axes.set_ylabel("points above the mix")
    return "difference to the content-blind mix"
