"""Which figures a report has, in their order, and how each is to be read: of a replay, a protocol, a gate."""

from collections.abc import Callable, Mapping
from typing import Any

from pinnace.eval.figures.areas import draw_areas, draw_protocol
from pinnace.eval.figures.aurocs import draw_aurocs
from pinnace.eval.figures.clusters import draw_gains, draw_map
from pinnace.eval.figures.curves import draw_cost_quality, draw_routers, drawn_methods
from pinnace.eval.figures.drawing import Sketch
from pinnace.eval.figures.reliabilities import draw_reliabilities
from pinnace.eval.figures.risks import draw_risks
from pinnace.eval.figures.shares import draw_shares

Report = Mapping[str, Any]


def _with_curves(draw: Callable[[Report], Any]) -> Callable[[Report], Any]:
    """Draw only where some method has a curve."""
    return lambda report: draw(report) if drawn_methods(report) else None


REPLAY: tuple[Sketch, ...] = (
    Sketch(
        "cost-quality",
        "Quality over cost",
        "Upper hulls of quality over cost, means over the splits; the band holds 95 % of the bootstrap "
        "draws. Dots are single models. The content-blind mix is the best that mixing models by a coin can "
        "reach; the oracle knows every outcome beforehand and is a bound, not a router.",
        _with_curves(draw_cost_quality),
    ),
    Sketch(
        "routers",
        "Routers compared",
        "a: the upper hulls; in brackets the area under them, best first. "
        "b: what each has over the content-blind mix of the same cost; below zero a router is worse than a "
        "coin. Whether two routers differ is said by the paired intervals in the text, not by bands that "
        "overlap.",
        _with_curves(draw_routers),
    ),
    Sketch(
        "areas",
        "Every method",
        "Values with their 95 % intervals. An arrow stands for a value off the scale. The intervals are not "
        "paired: methods differ more surely than they seem to here.",
        draw_areas,
    ),
    Sketch(
        "reliability",
        "Reliability",
        "Mean confidence against mean score, in bins of equal mass, with 95 % Wilson intervals; on the "
        "diagonal a confidence is what it says. ECE: the mean distance from it.",
        draw_reliabilities,
    ),
    Sketch(
        "cluster-map",
        "Clusters of the prompts",
        "Centroids on their first two principal components, moved apart where they would overlap; areas are "
        "in proportion to rows, down to a least size. Names are the words that set its prompts apart.",
        draw_map,
    ),
    Sketch(
        "cluster-gains",
        "Who wins in each cluster",
        "With a large model: its quality minus that of the cluster's best small model, with a 95 % interval; "
        "filled dots where it leaves out zero. The best small model is chosen on other rows than it is "
        "judged on. Without one: the quality of the cluster's best model.",
        draw_gains,
    ),
)
PROTOCOL: tuple[Sketch, ...] = (
    Sketch(
        "shares",
        "Accuracy over calls to the large model",
        "A row per data set. Left: accuracy when a share of the requests goes to the large model, those that "
        "need it most first; CPT(50) and CPT(80) are the shares at which ours has recovered half and four "
        "fifths of the gap. Right: what each has over the content-blind mix of the same share, ours with its "
        "paired 95 % interval; below zero a router is worse than a coin. The oracle knows both outcomes and "
        "is a bound, not a router.",
        draw_shares,
    ),
    Sketch(
        "protocol",
        "Every figure of the protocol",
        "Values with their 95 % intervals; an arrow stands for a value off the scale. The intervals are not "
        "paired: methods differ more surely than they seem to here. A dashed line is the published number, "
        "of other training data or another embedder.",
        draw_protocol,
    ),
)
GATE: tuple[Sketch, ...] = (
    Sketch(
        "reliability",
        "Reliability",
        "Mean confidence against mean score, in bins of equal mass, with 95 % Wilson intervals; on the "
        "diagonal a confidence is what it says. ECE: the mean distance from it. The mean log-probability is "
        "shown as exp of it; the estimate is the router's word before the answer; calibration is the curve "
        "that turns the gate's log-odds into a probability.",
        draw_reliabilities,
    ),
    Sketch(
        "risk-coverage",
        "Risk over coverage",
        "How many of the answers that are kept are wrong, the surest kept first; in brackets the area under "
        "each line, less is better. The band is the gate's 95 % bootstrap interval. No order keeps answers "
        "at random; the perfect order knows which are right.",
        draw_risks,
    ),
    Sketch(
        "auroc",
        "AUROC per task",
        "The chance that a right answer has more confidence than a wrong one, within each task, with 95 % "
        "bootstrap intervals. Right: the gate minus the mean log-probability, paired; filled dots where the "
        "interval leaves out zero. Besides: rows, and the share of them that the model has right.",
        draw_aurocs,
    ),
    Sketch(
        "cascade",
        "The cascade",
        "a: accuracy when the answers of least confidence are escalated, over their share. b: what that has "
        "over escalating as many blindly, the gate's with its paired 95 % interval; at or below zero the "
        "confidence is not worth its call. The perfect order escalates first what the large model wins.",
        draw_shares,
    ),
)
