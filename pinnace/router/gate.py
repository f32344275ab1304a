"""The gate: from the evidence in an answer to a calibrated probability that it is right. Pure.

One logistic model per fleet member and per stage: `whole` for finished answers, `prefix` for those
judged after the held tokens. The cluster enters as the router's own estimate, so that the same evidence
counts for less where the model is usually wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from pinnace.router.evidence import FEATURES, Evidence

STAGES = ("whole", "prefix")


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(right) = sigmoid(intercept + sum of coefficient x (feature - centre) / scale).

    The features are those of `features_of`, in its order.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def probability(self, features: Sequence[float]) -> float:
        """P(right) for one row of features."""
        pairs = zip(self.coefficients, features, self.centre, self.scale, strict=True)
        return sigmoid(self.intercept + sum(c * (f - centre) / scale for c, f, centre, scale in pairs))


@dataclass(frozen=True, slots=True)
class Gate:
    """The logistic models by stage and member."""

    whole: Mapping[str, Logistic]
    prefix: Mapping[str, Logistic]

    def can_judge(self, model: str) -> bool:
        """Whether there is a calibration for `model`."""
        return model in self.whole

    def judge(self, model: str, evidence: Evidence, *, prior: float, is_whole: bool) -> float:
        """P(right) of an answer of `model`; `prior` is the router's estimate for this request."""
        stage = self.whole if is_whole else self.prefix
        logistic = stage.get(model)
        return prior if logistic is None else logistic.probability(features_of(evidence, prior))


def features_of(evidence: Evidence, prior: float) -> list[float]:
    """The row that a `Logistic` reads: the evidence, the log-odds of the prior, and their products.

    With the products, the same log-probabilities can mean much on one kind of request and nothing on
    another: they tell little about a multiple choice, and much about a fact.
    """
    values = [float(getattr(evidence, name)) for name in FEATURES]
    odds = log_odds(prior)
    return [*values, odds, *(value * odds for value in values)]


def log_odds(probability: float) -> float:
    """The log-odds of a probability kept off 0 and 1 by a hundredth."""
    kept = min(max(probability, 0.01), 0.99)
    return log(kept / (1 - kept))


def sigmoid(value: float) -> float:
    """The logistic function, safe at both ends."""
    if value >= 0:
        return 1 / (1 + exp(-value))
    grown = exp(value)
    return grown / (1 + grown)
