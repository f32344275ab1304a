"""Calibration rows: what the estimates said of rows that they had not seen, and what came of them.

Prices are the fleet's and not the state's, so the table of rules is made from these rows when the fleet is
known, of the models that it has. Knows no policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.models.card import ModelCard
from pinnace.router.rate_table import RateTable, calibrate
from pinnace.router.types import FloatArray, IntArray

NAMES = ("quality", "scores", "prompt_tokens", "expected_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationRows:
    """r rows, m models. `quality` (r, m) was estimated by the heads of the row's fold; `scores` (r, m) came
    of it, NaN where not run; `prompt_tokens` (r,); `expected_tokens` and `output_tokens`, both (r, m).
    """

    quality: FloatArray
    scores: FloatArray
    prompt_tokens: FloatArray
    expected_tokens: FloatArray
    output_tokens: FloatArray

    def rate_table(self, cards: Sequence[ModelCard], columns: Sequence[int], large: int) -> RateTable | None:
        """What every rule would have done on the rows where all of `cards` ran; None where there are none.

        :param columns: the state's column of each card.
        :param large: which of `cards` is the large model.
        """
        at = list(columns)
        ran: IntArray = np.flatnonzero(~np.isnan(self.scores[:, at]).any(axis=1))
        if not len(ran):
            return None
        inputs, outputs = np.array([(card.input_price, card.output_price) for card in cards]).T
        asked = self.prompt_tokens[ran, None] * inputs
        expected = (asked + self.expected_tokens[ran][:, at] * outputs) / 1e6
        spent = (asked + self.output_tokens[ran][:, at] * outputs) / 1e6
        scores = np.clip(self.scores[ran][:, at], 0.0, 1.0)
        return calibrate(self.quality[ran][:, at], expected, scores, spent, large)
