"""Drift: does the evidence of live answers look like that which the gate was fitted on?

Pure. Compares each feature alone, by the two-sample Kolmogorov-Smirnov distance. Of the fitted rows only
quantiles are kept, so the distance is the least one that agrees with them: it can miss a small shift, and
does not invent one. Says which features moved, not whether that hurts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np

from pinnace.router.evidence import FEATURES, Evidence

LEVELS = 51
"""Quantiles kept of each feature: every fiftieth part, and both ends."""
RISK = 0.01
"""Chance that any feature of a sample of the same kind is said to have moved, at most."""


@dataclass(frozen=True, slots=True)
class Reference:
    """How the evidence that a gate was fitted on was spread: `rows` answers; 51 quantiles a feature."""

    rows: int
    quantiles: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature: its KS distance, 0 to 1, the bound that chance keeps to, and both medians."""

    feature: str
    distance: float
    bound: float
    fitted_median: float
    live_median: float

    @property
    def has_moved(self) -> bool:
        """Whether it is spread otherwise than at fit time, beyond chance."""
        return self.distance > self.bound


@dataclass(frozen=True, slots=True)
class Drift:
    """A drift check of `live_rows` answers against `fitted_rows`; features in their usual order."""

    live_rows: int
    fitted_rows: int
    features: tuple[FeatureDrift, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """The features that moved, furthest first."""
        found = sorted(self.features, key=lambda each: -each.distance)
        return tuple(each.feature for each in found if each.has_moved)


def reference_of(evidence: Sequence[Evidence]) -> Reference:
    """The reference of the answers that a gate is fitted on, one or more."""
    levels = np.linspace(0.0, 1.0, LEVELS)
    columns = {name: np.array([getattr(each, name) for each in evidence]) for name in FEATURES}
    quantiles = {
        name: tuple(np.quantile(column, levels, method="inverted_cdf").tolist())
        for name, column in columns.items()
    }
    return Reference(len(evidence), quantiles)


def drift(live: Sequence[Evidence], reference: Reference) -> Drift:
    """Compare live answers with a reference; features that the reference does not know are passed over.

    A feature has moved when its distance is beyond the 1 % point of the KS distribution (Smirnov's
    sqrt(-ln(risk / 2) / 2 x (1/n + 1/m))) with the risk divided by the number of features (Bonferroni).
    Without live answers nothing has moved.
    """
    known = [name for name in FEATURES if name in reference.quantiles]
    bound = _bound(len(live), reference.rows, RISK / max(len(known), 1))
    return Drift(
        live_rows=len(live),
        fitted_rows=reference.rows,
        features=tuple(
            _feature(name, [float(getattr(each, name)) for each in live], reference.quantiles[name], bound)
            for name in known
        ),
    )


def _feature(name: str, live: Sequence[float], quantiles: Sequence[float], bound: float) -> FeatureDrift:
    found = np.sort(np.asarray(live, dtype=np.float64))
    middle = float(np.quantile(found, 0.5, method="inverted_cdf")) if len(found) else float("nan")
    return FeatureDrift(name, _distance(found, quantiles), bound, quantiles[len(quantiles) // 2], middle)


def _distance(live: np.ndarray, quantiles: Sequence[float]) -> float:
    """The least KS distance between sorted `live` values and any sample with these quantiles.

    With the quantile q of level p, at most p of the fitted rows lie below q, and at least p at or below it.
    """
    if not len(live):
        return 0.0
    levels = np.linspace(0.0, 1.0, len(quantiles))
    below = np.searchsorted(live, quantiles, side="left") / len(live)
    up_to = np.searchsorted(live, quantiles, side="right") / len(live)
    return float(max((below - levels).max(), (levels - up_to).max(), 0.0))


def _bound(live: int, fitted: int, risk: float) -> float:
    if not live or not fitted:
        return inf
    return sqrt(-log(risk / 2) / 2 * (1 / live + 1 / fitted))
