"""How many retries a backend is sent, and how long to wait before each.

In any window, retries are at most a share of the requests in it, or a floor where those are few: a backend
that fails altogether gets a fifth more work, not several times as much. Pure: clock and chance are given.
"""

import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pinnace.config import Retries

SLOTS = 10
"""Parts of the window: what is counted leaves it a part at a time."""
_LONGEST_HEADER = 64


class RetryBudget:
    """One backend's: `asked` for each request, then `take` for each retry.

    :param now: seconds of a clock that never goes back.
    """

    def __init__(self, settings: Retries, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._slots: deque[list[int]] = deque()
        self._requests = self._retries = 0

    def asked(self) -> None:
        """A request came, which may have retries."""
        self._slot()[1] += 1
        self._requests += 1

    def take(self) -> bool:
        """Take one retry where there is one left."""
        slot = self._slot()
        if self._retries + 1 > max(self._settings.share * self._requests, self._settings.floor):
            return False
        slot[2] += 1
        self._retries += 1
        return True

    def _slot(self) -> list[int]:
        """That of now, as [number, requests, retries]; what has left the window is forgotten."""
        number = math.floor(self._now() / self._settings.window_s * SLOTS)
        while self._slots and self._slots[0][0] <= number - SLOTS:
            _, requests, retries = self._slots.popleft()
            self._requests -= requests
            self._retries -= retries
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append([number, 0, 0])
        return self._slots[-1]


def backoff_s(retry: int, settings: Retries, chance: float) -> float:
    """Seconds to wait before a retry: a random part of a bound that doubles ("full jitter").

    :param retry: 0 for the first.
    :param chance: uniform in [0, 1).
    """
    return chance * min(settings.longest_s, settings.base_s * 2.0 ** min(retry, 32))


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` asks for, which is a number or an HTTP date; None where it is neither.

    :param now: with its time zone.
    """
    if header is None or len(header) > _LONGEST_HEADER:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(date)
        then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
