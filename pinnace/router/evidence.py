"""The evidence in an answer: log-probabilities of its tokens, agreement of its samples, validity of its form.

Pure. Knows nothing of what the features are worth; that is the gate's business. All log-probabilities
are natural and taken before temperature. The lowest window follows DeepConf (arXiv 2508.15260), which
scores an answer by its least confident stretch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from math import inf, isfinite, log1p
from typing import Any

from pinnace.models.completion import FinishReason, TokenLogprob

WINDOW = 8
FLOOR = -20.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Features of one answer. Log-probabilities in nats, within -20 and 0; margins in nats, within 0 and 20.

    `mean`, `minimum` and `lowest_window` (mean over the least likely run of 8 tokens) are of the chosen
    tokens; `first` is the first token's; the margins are between the two likeliest tokens per position, 0
    where the backend names only one; `length` is log(1 + tokens); `finished` is 1.0 where the model stopped
    by itself, else 0.0. Tokens that a grammar forced count for `length` alone. `agreement` is the share of
    the request's choices that say what this one says (`pinnace.router.agreement`), 1.0 where there is one
    choice; `valid` is 0.0 where the answer breaks the format that was asked for (`pinnace.router.validity`),
    1.0 where it keeps it or none was asked for. Those two are 1.0, too, while an answer is unfinished and in
    tables that are older than they are.
    """

    mean: float
    minimum: float
    lowest_window: float
    first: float
    margin_mean: float
    margin_minimum: float
    length: float
    finished: float
    agreement: float = 1.0
    valid: float = 1.0

    def as_dict(self) -> dict[str, float]:
        """The features by name, in a fixed order."""
        return {name: getattr(self, name) for name in FEATURES}


FEATURES: tuple[str, ...] = tuple(Evidence.__dataclass_fields__)
LOGPROBS: tuple[str, ...] = tuple(f.name for f in fields(Evidence) if f.default is MISSING)
"""The features that every answer with log-probabilities has, and every table with evidence."""


def evidence_of(
    tokens: Sequence[TokenLogprob],
    finish_reason: FinishReason | None,
    *,
    agreement: float = 1.0,
    valid: float = 1.0,
) -> Evidence | None:
    """The evidence in `tokens`; None where the backend gave no log-probabilities."""
    if not tokens:
        return None
    free = [token for token in tokens if not _is_forced(token)] or tokens
    chosen = [_bounded(token.logprob) for token in free]
    margins = [_margin(token) for token in free]
    return Evidence(
        mean=sum(chosen) / len(chosen),
        minimum=min(chosen),
        lowest_window=_lowest_window(chosen),
        first=chosen[0],
        margin_mean=sum(margins) / len(margins),
        margin_minimum=min(margins),
        length=log1p(len(tokens)),
        finished=float(finish_reason in ("stop", "tool_calls")),
        agreement=agreement,
        valid=valid,
    )


def evidence_from(features: Mapping[str, Any]) -> Evidence:
    """The evidence that `as_dict` wrote down, perhaps before the later features were known.

    :raises ValueError: when a feature of `LOGPROBS` is missing, or one is no finite number.
    """
    known = {name: features[name] for name in FEATURES if name in features}
    values = {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
    if (
        not set(LOGPROBS) <= set(values)
        or len(values) < len(known)
        or not all(map(isfinite, values.values()))
    ):
        raise ValueError(f"expected finite numbers for {', '.join(LOGPROBS)}, got {features!r}")
    return Evidence(**values)


def _is_forced(token: TokenLogprob) -> bool:
    """Whether a grammar left the model no other token: that it chose this one tells nothing."""
    return token.logprob == 0.0 and len(token.top) > 1 and token.top[1][1] == -inf


def _margin(token: TokenLogprob) -> float:
    if len(token.top) < 2:
        return 0.0
    return max(_bounded(token.top[0][1]) - _bounded(token.top[1][1]), 0.0)


def _bounded(logprob: float) -> float:
    """Within FLOOR and 0; an engine's NaN is the least likely of all."""
    return min(logprob, 0.0) if logprob > FLOOR else FLOOR


def _lowest_window(values: Sequence[float]) -> float:
    width = min(WINDOW, len(values))
    window = sum(values[:width])
    lowest = window
    for entering, leaving in zip(values[width:], values, strict=False):
        window += entering - leaving
        lowest = min(lowest, window)
    return lowest / width
