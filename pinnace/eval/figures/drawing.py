"""All figures of one table's report, with what they show in words.

Knows what is drawn and how it is to be read; how it looks is `style`'s, where it stands the page's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.eval.figures.areas import draw_areas
from pinnace.eval.figures.clusters import draw_gains, draw_map
from pinnace.eval.figures.curves import draw_cost_quality, draw_routers, drawn_methods
from pinnace.eval.figures.reliabilities import draw_reliabilities
from pinnace.eval.figures.style import styled, svg_text

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as a standalone SVG file's text, its name, its title and its caption."""

    name: str
    title: str
    caption: str
    svg: str


def draw_figures(report: Report) -> tuple[Drawing, ...]:
    """Every figure that the report has values for.

    :param report: one table's figures, as `pinnace.eval.replay_json` gives them.
    :raises PinnaceError: when matplotlib is not installed.
    """
    with styled():
        return tuple(
            Drawing(name, title, caption, svg_text(figure))
            for name, title, caption, draw in _FIGURES
            if (figure := draw(report)) is not None
        )


def _with_curves(draw: Callable[[Report], Any]) -> Callable[[Report], Any]:
    """Draw only where some method has a curve."""
    return lambda report: draw(report) if drawn_methods(report) else None


_FIGURES: tuple[tuple[str, str, str, Callable[[Report], Any]], ...] = (
    (
        "cost-quality",
        "Quality over cost",
        "Upper hulls of quality over cost, means over the splits; the band holds 95 % of the bootstrap "
        "draws. Dots are single models. The content-blind mix is the best that mixing models by a coin can "
        "reach; the oracle knows every outcome beforehand and is a bound, not a router.",
        _with_curves(draw_cost_quality),
    ),
    (
        "routers",
        "Routers compared",
        "a: the upper hulls; in brackets the area under them, best first. "
        "b: what each has over the content-blind mix of the same cost; below zero a router is worse than a "
        "coin. Whether two routers differ is said by the paired intervals in the text, not by bands that "
        "overlap.",
        _with_curves(draw_routers),
    ),
    (
        "areas",
        "Every method",
        "Values with their 95 % intervals. An arrow stands for a value off the scale. The intervals are not "
        "paired: methods differ more surely than they seem to here.",
        draw_areas,
    ),
    (
        "reliability",
        "Reliability",
        "Mean confidence against mean score, in bins of equal mass, with 95 % Wilson intervals; on the "
        "diagonal a confidence is what it says. ECE: the mean distance from it.",
        draw_reliabilities,
    ),
    (
        "cluster-map",
        "Clusters of the prompts",
        "Centroids on their first two principal components, moved apart where they would overlap; areas are "
        "in proportion to rows, down to a least size. Names are the words that set its prompts apart.",
        draw_map,
    ),
    (
        "cluster-gains",
        "Who wins in each cluster",
        "With a large model: its quality minus that of the cluster's best small model, with a 95 % interval; "
        "filled dots where it leaves out zero. The best small model is chosen on other rows than it is "
        "judged on. Without one: the quality of the cluster's best model.",
        draw_gains,
    ),
)
