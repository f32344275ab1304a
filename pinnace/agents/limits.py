"""What a session may take at most. Plain values: knows nothing of what was taken, see `budget`."""

import math
from dataclasses import dataclass, fields

from pinnace.errors import StepError

_COUNTS = ("requests", "tokens", "tool_calls", "escalations")
_MAY_BE_ZERO = ("tool_calls", "escalations")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one session; None is no limit.

    `requests` are calls of a model, `tokens` those read and written by the models that answered, `seconds`
    the age of the session, `usd` and `joules` what all calls cost, `escalations` climbs to a dearer
    model, of the session or of a route within one call. Zero `tool_calls` or `escalations` means none at all.

    :raises StepError: when a limit is no number, not finite, negative, or zero where zero lets nothing run.
    """

    requests: int | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    seconds: float | None = None
    usd: float | None = None
    joules: float | None = None
    escalations: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))


def _check(name: str, value: object) -> None:
    if value is None:
        return
    kinds, expected = ((int,), "a whole number") if name in _COUNTS else ((int, float), "a number")
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise StepError(f"Limits({name}={value!r:.60}): give {expected}, or None for no limit")
    if not _is_finite(value):
        raise StepError(f"Limits({name}=...): give a finite number, or None for no limit")
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        least = "0 for none at all, more" if name in _MAY_BE_ZERO else "more than 0"
        raise StepError(f"Limits({name}={value!r:.60}) lets nothing run: give {least}, or None for no limit")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
