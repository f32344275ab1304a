"""The gate: from the evidence in an answer to a calibrated probability that it is right. Pure.

One logistic model per fleet member and per stage: `whole` for finished answers, `prefix` for those
judged after the held tokens. The request's cluster enters twice: as the router's own estimate, so that the
same evidence counts for less where the model is usually wrong, and with terms of its own. A curve
(`pinnace.router.calibration`) then makes the log-odds a probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log

from pinnace.router.calibration import Curve, sigmoid
from pinnace.router.drift import Reference
from pinnace.router.evidence import LOGPROBS, Evidence

STAGES = ("whole", "prefix")


@dataclass(frozen=True, slots=True)
class ClusterTerms:
    """What each of k clusters adds to a member's log-odds, pooled toward nothing.

    `intercepts` (k,); `slopes` (k, s) are of the standardised evidence features at `columns` (s,).
    """

    intercepts: tuple[float, ...]
    columns: tuple[int, ...]
    slopes: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Logistic:
    """Log-odds = intercept + sum of coefficient x (feature - centre) / scale + the clusters' terms.

    The row of features is `features_of` the evidence named in `features`. Without a `curve`, P(right) is the
    sigmoid.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    features: tuple[str, ...] = LOGPROBS
    clusters: ClusterTerms | None = None
    curve: Curve | None = None

    def log_odds(self, row: Sequence[float], clusters: Mapping[int, float] | None = None) -> float:
        """The log-odds of one row of features in a mixture of clusters, by their weights."""
        columns = zip(self.coefficients, row, self.centre, self.scale, strict=True)
        pairs = [(coefficient, (value - centre) / scale) for coefficient, value, centre, scale in columns]
        odds = self.intercept + sum(coefficient * value for coefficient, value in pairs)
        terms = self.clusters
        if terms is None or not clusters:
            return odds
        chosen = [pairs[column][1] for column in terms.columns]
        for cluster, weight in clusters.items():
            slopes = zip(terms.slopes[cluster], chosen, strict=True)
            odds += weight * (terms.intercepts[cluster] + sum(slope * value for slope, value in slopes))
        return odds

    def probability(self, row: Sequence[float], clusters: Mapping[int, float] | None = None) -> float:
        """P(right) for one row of features in a mixture of clusters."""
        odds = self.log_odds(row, clusters)
        return sigmoid(odds) if self.curve is None else self.curve.probability(odds)


@dataclass(frozen=True, slots=True)
class Gate:
    """The logistic models by stage and member; and by member and stage the evidence they were fitted on."""

    whole: Mapping[str, Logistic]
    prefix: Mapping[str, Logistic]
    references: Mapping[str, Mapping[str, Reference]] = field(
        default_factory=dict[str, Mapping[str, Reference]]
    )

    def can_judge(self, model: str) -> bool:
        """Whether there is a calibration for `model`."""
        return model in self.whole

    def judge(
        self,
        model: str,
        evidence: Evidence,
        *,
        prior: float,
        is_whole: bool,
        clusters: Mapping[int, float] | None = None,
    ) -> float:
        """P(right) of an answer of `model`; 0 where it breaks the form that was asked for.

        :param prior: the router's estimate for this request.
        :param clusters: the request's clusters and their weights.
        """
        if not evidence.valid:
            return 0.0
        stage = self.whole if is_whole else self.prefix
        logistic = stage.get(model)
        if logistic is None:
            return prior
        return logistic.probability(features_of(evidence, prior, logistic.features), clusters)


def features_of(evidence: Evidence, prior: float, names: Sequence[str] = LOGPROBS) -> list[float]:
    """The row that a `Logistic` reads: the evidence, the log-odds of the prior, and their products.

    With the products, the same log-probabilities can mean much on one kind of request and nothing on
    another: they tell little about a multiple choice, and much about a fact.
    """
    values = [float(getattr(evidence, name)) for name in names]
    odds = log_odds(prior)
    return [*values, odds, *(value * odds for value in values)]


def log_odds(probability: float) -> float:
    """The log-odds of a probability kept off 0 and 1 by a hundredth."""
    kept = min(max(probability, 0.01), 0.99)
    return log(kept / (1 - kept))
