"""Recognition: which rows a state was calibrated on, told by what it says of them.

A state keeps no prompt. Of each calibration row it keeps the prompt's length, the tokens that were expected,
and the estimates of the heads of the row's fold; the same prompt brings the same numbers again, from one
fold's heads. So of rows that come again it is known which heads had not seen them. Looks, row by row, at the
models that ran there: of those that joined later the state has no numbers for the other rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.fit import asked_tokens
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray, IntArray

CLOSE = 1e-4
"""How near numbers must be, in quality and relative in tokens. Those on disk are rounded to 1e-7, and a
text that is embedded in another batch is off by about 1e-6."""
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Recognised:
    """n rows: the calibration row that each is, `at` (n,), -1 where it is none; and the fold whose heads had
    not seen it, `folds` (n,), of strange rows the one that would serve them.
    """

    at: IntArray
    folds: IntArray

    @property
    def rows(self) -> int:
        """How many are calibration rows."""
        return int((self.at >= 0).sum())


def recognise(
    state: RouterState,
    prompts: Sequence[str],
    vectors: FloatArray,
    features: FloatArray,
    scores: FloatArray,
) -> Recognised:
    """Find n rows among the state's calibration rows, each of which is found once at most.

    :param scores: of the state's models, (n, m), NaN where not known; they tell apart rows that look alike.
    """
    folds = state.expectation.fold_of(prompts)
    quality = np.stack([heads.predict(features) for heads in state.expectation.folds])
    known = _Known(state.calibration, expected_tokens(state, vectors), quality, scores)
    at = np.full(len(prompts), -1, dtype=np.int64)
    taken: set[int] = set()
    for row, asked in enumerate(asked_tokens(prompts).tolist()):
        alike = known.alike(row, asked)
        free = [each for each in alike if each not in taken]
        if free and (len(alike) == 1 or known.is_scored(row, alike)):
            at[row] = free[0]
            folds[row] = known.fold(row, free[0])
            taken.add(free[0])
    return Recognised(at, folds)


def expected_tokens(state: RouterState, vectors: FloatArray) -> FloatArray:
    """Completion tokens that the state expects of each of its models, (n, m), by the rows' clusters."""
    nearest, weights = state.clusters.membership(vectors)
    return np.einsum("np,npm->nm", weights, state.output_tokens[nearest])


class _Known:
    """The calibration rows, sorted by the length of their prompts, and what the state says of n rows."""

    def __init__(
        self, rows: CalibrationRows, tokens: FloatArray, quality: FloatArray, scores: FloatArray
    ) -> None:
        self._rows = rows
        self._ran = ~np.isnan(rows.scores)
        self._tokens = tokens
        self._quality = quality  # (folds, n, m)
        self._scores = scores
        self._order = np.argsort(rows.prompt_tokens, kind="stable")
        self._lengths = rows.prompt_tokens[self._order]

    def alike(self, row: int, asked: float) -> list[int]:
        """The calibration rows that may be this one."""
        first, last = np.searchsorted(self._lengths, [asked - 0.5, asked + 0.5])
        found = self._order[first:last]
        differing = np.abs(self._rows.scores[found] - self._scores[row]) > CLOSE  # NaN differs from nothing
        expected = self._rows.expected_tokens[found]
        differing |= self._ran[found] & (np.abs(expected - self._tokens[row]) > CLOSE * (1 + expected))
        is_alike = (self._distance(row, found).min(axis=0) < CLOSE) & ~differing.any(axis=1)
        return found[is_alike].tolist()

    def is_scored(self, row: int, alike: Sequence[int]) -> bool:
        """Whether rows that look alike are alike in their scores too, so that any of them will do."""
        return not (np.isnan(self._scores[row]) & self._ran[list(alike)]).any()

    def fold(self, row: int, at: int) -> int:
        """The fold whose heads said what was written down."""
        return int(self._distance(row, np.array([at])).argmin())

    def _distance(self, row: int, found: IntArray) -> FloatArray:
        """By how much each fold's estimates differ from those of calibration rows, (folds, c)."""
        differences = np.abs(self._rows.quality[found] - self._quality[:, row, None])
        return np.where(self._ran[found], differences, 0.0).max(axis=2)
