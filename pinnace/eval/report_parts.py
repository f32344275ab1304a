"""What a report shows beside the replay's figures: the cluster map, and how true the estimates are."""

from typing import Any

from pinnace.eval.cluster_map import cluster_map
from pinnace.eval.reliability import ReliabilityCurve, reliability_curve
from pinnace.eval.replay import Replay


def report_parts(found: Replay) -> dict[str, Any]:
    """`clusters` of all rows, and `reliability` of what ours expected of the first split's test rows."""
    recorded = found.recorded
    clusters = cluster_map(
        recorded.prompts,
        recorded.seen.vectors,
        recorded.scores,
        recorded.small.tolist(),
        recorded.large,
        recorded.pool.models,
    )
    return {
        "clusters": [cluster.as_json() for cluster in clusters],
        "reliability": [curve.as_json() for curve in _reliabilities(found)],
    }


def _reliabilities(found: Replay) -> list[ReliabilityCurve]:
    if found.expected is None:
        return []
    scores = found.recorded.scores[found.first_test]
    return [
        reliability_curve(model, "estimate", found.expected[:, column], scores[:, column])
        for column, model in enumerate(found.recorded.pool.models)
    ]
