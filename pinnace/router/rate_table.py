"""Decision rules from the safest to the cheapest, and what each of them did on calibration rows.

A rule is an exchange rate, in quality per USD, and a margin of quality in favour of the large model: the
model with the highest quality minus rate times cost answers, and the large one keeps what it would lose
by less than the margin. First the margin falls from infinity (always the large model) to nothing, then
the rate grows until the cheapest model always answers. Which rule to serve by is chosen elsewhere
(`pinnace.router.floor`, `pinnace.router.budget`), from the table alone. Rules know no gate: they choose
one model before any answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinnace.router.types import FloatArray, IntArray

MARGINS = 120
RATES = 160
"""How many margins and rates are tried at most: quantiles of those at which the rows change their model."""
BEYOND = 1e-9
"""A rate is set by this share beyond the one at which a row's best two models are worth the same."""
COLUMNS = ("rate", "margin", "usd", "quality", "variance", "covariance")


@dataclass(frozen=True, slots=True)
class Rule:
    """`rate` in quality per USD, at least 0; `margin` in quality, infinite where the large always answers."""

    rate: float
    margin: float


@dataclass(frozen=True, slots=True, eq=False)
class RateTable:
    """What each of r rules did on `rows` calibration rows.

    `figures` is (r, 6), its columns `COLUMNS`: the rule; mean USD a request; mean quality, its variance
    over rows, and its covariance with the quality of always choosing the large model, which is the first
    rule. These suffice for any `keep`, `confidence`, horizon or budget: nothing is fitted again.
    """

    figures: FloatArray
    rows: int

    def __post_init__(self) -> None:
        assert self.figures.ndim == 2, self.figures.shape
        assert self.figures.shape[1] == len(COLUMNS), self.figures.shape
        assert np.isposinf(self.figures[0, 1]), "the first rule is always the large model"

    def __len__(self) -> int:
        return len(self.figures)

    def rule(self, step: int) -> Rule:
        """The rule of one step, 0 for the safest."""
        return Rule(float(self.figures[step, 0]), float(self.figures[step, 1]))

    @property
    def usd(self) -> FloatArray:
        """Mean cost of a request under each rule, USD, (r,)."""
        return self.figures[:, 2]

    @property
    def quality(self) -> FloatArray:
        """Mean quality under each rule, (r,)."""
        return self.figures[:, 3]

    def excess(self, keep: float) -> tuple[FloatArray, FloatArray]:
        """Mean and variance over rows of quality minus `keep` times the large model's, both (r,)."""
        mean = self.quality - keep * self.quality[0]
        variance = self.figures[:, 4] + keep**2 * self.figures[0, 4] - 2 * keep * self.figures[:, 5]
        return mean, np.maximum(variance, 0.0)


def calibrate(
    quality: FloatArray, usd: FloatArray, scores: FloatArray, spent: FloatArray, large: int
) -> RateTable:
    """What every rule would have done on n rows, of which nothing was known when they were estimated.

    :param quality: estimated qualities, (n, m), each made without the row's own scores.
    :param usd: estimated costs, (n, m), USD; made in the same way.
    :param scores: observed qualities, (n, m), in 0..1.
    :param spent: observed costs, (n, m), USD.
    :param large: the column of the large model.
    :raises ValueError: when the arrays differ in shape, are not finite, or have no such column.
    """
    _check(quality, usd, scores, spent, large)
    rows = np.arange(len(quality))
    reference = scores[:, large] - scores[:, large].mean()
    figures: list[tuple[float, ...]] = []
    for rule in rules_of(quality, usd, large):
        chosen = choose(quality, usd, large, rule)
        kept = scores[rows, chosen]
        covariance = float(np.dot(kept, reference)) / max(len(rows) - 1, 1)
        variance = float(kept.var(ddof=1)) if len(rows) > 1 else 0.0
        cost = float(spent[rows, chosen].mean())
        figures.append((rule.rate, rule.margin, cost, float(kept.mean()), variance, covariance))
    return RateTable(np.asarray(figures, dtype=np.float64), len(rows))


def choose(quality: FloatArray, usd: FloatArray, large: int, rule: Rule) -> IntArray:
    """The column that answers each row, (n,); the large model's where it is worth as much as another."""
    value = quality - rule.rate * usd
    others = value.copy()
    others[:, large] = -np.inf
    best = np.argmax(others, axis=1)
    gain = others[np.arange(len(value)), best] - value[:, large]
    return np.where(gain > rule.margin, best, large).astype(np.int64)


def rules_of(quality: FloatArray, usd: FloatArray, large: int) -> Iterator[Rule]:
    """Rules from always the large model to always the cheapest, in steps of about equally many rows.

    They depend on the estimates alone, never on a score of theirs.
    """
    yield Rule(0.0, np.inf)
    if quality.shape[1] == 1:
        return
    others = np.delete(quality, large, axis=1).max(axis=1)
    gains = others - quality[:, large]
    for margin in _quantiles(gains[gains > 0], MARGINS)[-2::-1]:
        yield Rule(0.0, float(margin))
    yield Rule(0.0, 0.0)
    for rate in _quantiles(_turning_rates(quality, usd, large), RATES):
        yield Rule(float(rate) * (1 + BEYOND), 0.0)


def _turning_rates(quality: FloatArray, usd: FloatArray, large: int) -> FloatArray:
    """Rates at which a row leaves the large model, and at which it comes to the cheapest, above 0."""
    rows = np.arange(len(quality))
    cheapest = np.argmin(usd, axis=1)
    leaving = _slopes(quality[:, [large]] - quality, usd[:, [large]] - usd, np.inf).min(axis=1)
    at = quality[rows, cheapest][:, None], usd[rows, cheapest][:, None]
    arriving = _slopes(quality - at[0], usd - at[1], -np.inf).max(axis=1)
    found = np.concatenate([leaving, arriving])
    above = found[np.isfinite(found) & (found > 0)]
    if len(above) or usd.max() == usd.min():
        return above
    return np.asarray([BEYOND / (usd.max() - usd.min())])


def _slopes(lost: FloatArray, saved: FloatArray, otherwise: float) -> FloatArray:
    """Quality lost per USD saved, where there is something to save."""
    return np.divide(lost, saved, out=np.full_like(lost, otherwise), where=saved > 0)


def _quantiles(values: FloatArray, most: int) -> FloatArray:
    """At most `most` different values that part `values` evenly, ascending."""
    if not len(values):
        return values
    return np.unique(np.quantile(values, np.linspace(0, 1, most))).astype(np.float64)


def _check(quality: FloatArray, usd: FloatArray, scores: FloatArray, spent: FloatArray, large: int) -> None:
    shapes = [array.shape for array in (quality, usd, scores, spent)]
    if len(set(shapes)) != 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise ValueError(f"expected four arrays of one shape (rows, models), got {shapes!r}")
    if not all(np.isfinite(array).all() for array in (quality, usd, scores, spent)):
        raise ValueError("expected finite qualities and costs: leave out rows that a model did not run")
    if not 0 <= large < shapes[0][1]:
        raise ValueError(f"expected the large model's column in 0..{shapes[0][1] - 1}, got {large!r}")
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(f"expected scores in 0..1, got {scores.min()!r}..{scores.max()!r}")
