"""Spending: USD that each API key has spent, in all and since midnight UTC.

Begins with what the ledger has of earlier runs, and counts on in memory: another process that writes into the
same ledger is seen at the next start. Knows keys by their names only.
"""

import time
from collections.abc import Callable, Mapping

DAY_S = 86_400


class Spending:
    """USD by key; `fill` it from the ledger, `add` what is spent."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._total: dict[str, float] = {}
        self._today: dict[str, float] = {}
        self._day = day_of(clock())

    def fill(self, found: Mapping[str, tuple[float, float]]) -> None:
        """What was spent before, by key: USD in all and since midnight UTC. The larger figure counts."""
        for key, (total, today) in found.items():
            self._total[key] = max(self._total.get(key, 0.0), total)
            self._today[key] = max(self._today.get(key, 0.0), today)

    def add(self, key: str, usd: float) -> None:
        """`key` has spent so much."""
        self._turn_page()
        self._total[key] = self._total.get(key, 0.0) + usd
        self._today[key] = self._today.get(key, 0.0) + usd

    def total(self, key: str) -> float:
        """USD that `key` has spent in all."""
        return self._total.get(key, 0.0)

    def today(self, key: str) -> float:
        """USD that `key` has spent since midnight UTC."""
        self._turn_page()
        return self._today.get(key, 0.0)

    def until_midnight_s(self) -> float:
        """Seconds until the next day begins, in UTC."""
        return DAY_S - self._clock() % DAY_S

    def _turn_page(self) -> None:
        day = day_of(self._clock())
        if day != self._day:
            self._day = day
            self._today.clear()


def day_of(seconds: float) -> int:
    """The number of the day, in UTC, that a time since the epoch lies in."""
    return int(seconds // DAY_S)
