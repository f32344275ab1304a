"""What a report shows beside the replay's figures: the cluster map, and how true the estimates are."""

from typing import Any

from pinnace.eval.cluster_map import cluster_map
from pinnace.eval.recorded_rows import Recorded, hash_split
from pinnace.eval.reliability import reliability_curve
from pinnace.router.estimators.request import RequestEstimator


def report_parts(recorded: Recorded, *, rows: int | None = None) -> dict[str, Any]:
    """`clusters` of all rows, and `reliability` of our estimates on the first split's test rows.

    :param rows: learn from only so many rows.
    """
    models = recorded.pool.models
    clusters = cluster_map(
        recorded.prompts,
        recorded.seen.vectors,
        recorded.scores,
        recorded.small.tolist(),
        recorded.large,
        models,
    )
    split = hash_split(recorded, 0, rows=rows)
    train, test = split.train, split.test
    estimator = RequestEstimator().fit(train.seen, train.scores, train.costs, train.tasks, train.prompts)
    quality = estimator.estimate(test.seen).quality
    curves = [
        reliability_curve(model, "estimate", quality[:, column], test.scores[:, column])
        for column, model in enumerate(models)
    ]
    return {
        "clusters": [cluster.as_json() for cluster in clusters],
        "reliability": [curve.as_json() for curve in curves],
    }
