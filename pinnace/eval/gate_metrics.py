"""How good a confidence is: does it rank right above wrong, and is it the chance that it says? Pure.

`confidence` and `right` are (n,); `right` are scores in 0..1. Rows of equal confidence are averaged over all
their orders, in every metric. Each metric has a form over bootstrap draws: weights (d, n), whole numbers
that say how often a row was drawn, give (d,); it equals the plain metric on the repeated rows.
"""

from dataclasses import dataclass

import numpy as np

from pinnace.eval.bootstrap import AnyWeights, in_blocks, mean_draws
from pinnace.eval.complete import require_numbers, require_unit
from pinnace.eval.pair_metrics import RIGHT
from pinnace.eval.table import FloatArray
from pinnace.router.calibration import BINS, bin_means, calibration_errors, expected_calibration_error
from pinnace.router.ranking import Ranking, falling, read_at, running


def auroc(confidence: FloatArray, right: FloatArray) -> float:
    """Chance that a right answer (score of at least 0.5) has more confidence than a wrong one, ties half.

    NaN where all are right or all are wrong. `confidence` may be on any scale.

    :raises TableError: when a column has a gap, or `right` leaves 0..1; so do all metrics here.
    """
    return float(auroc_draws(confidence, right, _once(right))[0])


def brier(confidence: FloatArray, right: FloatArray) -> float:
    """Mean squared difference between confidence, 0..1, and score."""
    return float(brier_draws(confidence, right, _once(right))[0])


def ece(confidence: FloatArray, right: FloatArray, bins: int = BINS) -> float:
    """Expected calibration error: mean over bins of |mean confidence - mean score|.

    Bins hold equal mass, by rank of confidence. A row, or a run of rows of equal confidence, that lies
    across the border of two bins counts in each by its part, so that no order of ties matters.
    """
    require_unit(confidence=confidence, right=right)
    return expected_calibration_error(confidence, right, bins)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram: per bin of equal mass, least confident first, mean confidence and mean score."""

    confidence: FloatArray
    right: FloatArray


def reliability(confidence: FloatArray, right: FloatArray, bins: int = BINS) -> Reliability:
    """The bins of `ece`."""
    require_unit(confidence=confidence, right=right)
    ranking, once = falling(confidence), _once(right)
    means = [bin_means(ranking, once, values, bins)[0, ::-1] for values in (confidence, right)]
    return Reliability(*means)


def risk_coverage(confidence: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coverage 1/n, 2/n, ..., 1 and the mean error (1 - score) of the most confident rows, both (n,)."""
    _require(confidence, right)
    ranking, once = falling(confidence), _once(right)
    mass, errors = running(ranking.sums(once)), running(ranking.sums(once * (1 - right)))
    kept = np.arange(1, len(right) + 1, dtype=np.float64)
    return kept / len(right), read_at(kept[None], mass, errors)[0] / kept


def risk_draws(
    confidence: FloatArray, right: FloatArray, weights: AnyWeights, coverages: FloatArray
) -> FloatArray:
    """The risk-coverage curve of each draw at some coverages (c,) above 0 and up to 1: (d, c)."""
    _require(confidence, right)
    ranking = falling(confidence)

    def risks(block: FloatArray) -> FloatArray:
        mass, errors = running(ranking.sums(block)), running(ranking.sums(block * (1 - right)))
        kept = coverages * mass[:, -1:]
        return read_at(kept, mass, errors) / kept

    return in_blocks(risks, weights)


def aurc(confidence: FloatArray, right: FloatArray) -> float:
    """Area under the risk-coverage curve: the mean of its n risks. `confidence` may be on any scale."""
    return float(risk_coverage(confidence, right)[1].mean())


def excess_aurc(confidence: FloatArray, right: FloatArray) -> float:
    """AURC minus that of the perfect order of the same scores (Geifman et al., ICLR 2019): 0 is perfect.

    The perfect AURC is counted out, not their approximation r + (1 - r) ln(1 - r).
    """
    return float(excess_aurc_draws(confidence, right, _once(right))[0])


def auroc_draws(confidence: FloatArray, right: FloatArray, weights: AnyWeights) -> FloatArray:
    """`auroc` of each draw; NaN in a draw where all are right or all are wrong."""
    _require(confidence, right)
    ranking, is_right = falling(confidence), (right >= RIGHT).astype(np.float64)

    def areas(block: FloatArray) -> FloatArray:
        rights = ranking.sums(block * is_right)
        wrongs = ranking.sums(block) - rights
        above = np.cumsum(wrongs, axis=1)
        wins = (rights * (above[:, -1:] - above + wrongs / 2)).sum(axis=1)
        pairs = rights.sum(axis=1) * above[:, -1]
        return np.divide(wins, pairs, out=np.full(len(block), np.nan), where=pairs > 0)

    return in_blocks(areas, weights)


def brier_draws(confidence: FloatArray, right: FloatArray, weights: AnyWeights) -> FloatArray:
    """`brier` of each draw."""
    require_unit(confidence=confidence, right=right)
    return mean_draws((confidence - right) ** 2, weights)


def ece_draws(confidence: FloatArray, right: FloatArray, weights: AnyWeights, bins: int = BINS) -> FloatArray:
    """`ece` of each draw. A draw's ECE is biased upward: chance differences within bins do not cancel."""
    require_unit(confidence=confidence, right=right)
    ranking, off = falling(confidence), confidence - right
    return in_blocks(lambda block: calibration_errors(ranking, block, off, bins), weights)


def excess_aurc_draws(confidence: FloatArray, right: FloatArray, weights: AnyWeights) -> FloatArray:
    """`excess_aurc` of each draw."""
    _require(confidence, right)
    ranking, perfect = falling(confidence), falling(right)
    return in_blocks(lambda block: _aurc(ranking, block, right) - _aurc(perfect, block, right), weights)


def _require(confidence: FloatArray, right: FloatArray) -> None:
    require_numbers(confidence=confidence)
    require_unit(right=right)
    assert confidence.shape == right.shape, (confidence.shape, right.shape)


def _once(right: FloatArray) -> FloatArray:
    return np.ones((1, len(right)))


def _aurc(ranking: Ranking, block: FloatArray, right: FloatArray) -> FloatArray:
    """AURC of each draw in closed form.

    A run of w rows with mean error r, after a rows with e errors, adds the risks (e + j r) / (a + j) for j of
    1..w, which sum to w r + (e - a r) (H(a + w) - H(a)) with the harmonic numbers H.
    """
    rows = ranking.sums(block)
    mass, errors = running(rows), running(ranking.sums(block * (1 - right)))
    rate = np.diff(errors) / np.maximum(rows, 1.0)
    step = np.diff(_harmonic(int(mass[:, -1].max()))[mass.astype(np.int64)])
    risks = np.diff(errors) + (errors[:, :-1] - mass[:, :-1] * rate) * step
    return risks.sum(axis=1) / mass[:, -1]


def _harmonic(most: int) -> FloatArray:
    """1 + 1/2 + ... + 1/k for k of 0..most."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, most + 1))])
