"""What one session has spent of what it may, and what is promised to calls under way.

A call reserves the most that it may take before it goes out, so that calls side by side cannot overspend
together. Amounts are exact fractions of the decimals that were written, so that three times 0.1 is 0.3, and
what is given back leaves no crumbs. For one event loop, so that nothing is locked. Knows
neither models nor prices.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType

from pinnace.agents.limits import Limits
from pinnace.errors import LimitError

AMOUNTS: tuple[str, ...] = ("requests", "tokens", "tool_calls", "usd", "joules", "escalations")
"""What can be reserved. `seconds` cannot: it passes by itself."""

_Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a session has taken so far; fields as in `Limits`."""

    requests: int = 0
    tokens: int = 0
    tool_calls: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    joules: float = 0.0
    escalations: int = 0


class Reservation:
    """Amounts promised to one call, until it is settled or released; what comes after that changes nothing.

    As a context manager it gives back at its end what was not settled.
    """

    def __init__(self, held: _Amounts, close: Callable[[_Amounts, _Amounts], None]) -> None:
        self._held = held
        self._close = close
        self._is_open = True

    def settle(self, **actual: float) -> None:
        """Put what the call took in place of what was promised to it, even where it took more.

        An amount that is not named took what was reserved of it.

        :raises ValueError: when an amount is unknown, negative or not finite; the promise then stands.
        """
        if self._is_open:
            taken = {**self._held, **_exact(actual)}
            self._is_open = False
            self._close(self._held, taken)

    def release(self) -> None:
        """Give all of it back: the call took nothing."""
        if self._is_open:
            self._is_open = False
            self._close(self._held, {})

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


class Budget:
    """The spent and promised amounts of one session.

    Its age counts from the first `start`, until then from when it was made. `clock` gives seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._began = clock()
        self._is_started = False
        self._spent = dict.fromkeys(AMOUNTS, Fraction(0))
        self._reserved = dict.fromkeys(AMOUNTS, Fraction(0))
        allowed = {name: getattr(limits, name) for name in AMOUNTS}
        self._allowed = _exact({name: most for name, most in allowed.items() if most is not None})

    @property
    def spent(self) -> Spent:
        """What was taken by calls that are over, and the session's age."""
        return _told(self._spent, self._age())

    @property
    def reserved(self) -> Spent:
        """What is promised to calls under way; no seconds."""
        return _told(self._reserved, 0.0)

    def start(self) -> None:
        """Count the seconds from now on; only the first time does this."""
        if not self._is_started:
            self._is_started = True
            self._began = self._clock()

    def reserve(self, **wanted: float) -> Reservation:
        """Promise the most that a call may take, all of it or nothing.

        Raises as well for a limit of which nothing is wanted, where calls have taken more than was promised.

        :raises LimitError: when spent, promised and wanted together pass a limit: the first, in `AMOUNTS`.
        :raises ValueError: when an amount is unknown, negative or not finite.
        """
        amounts = _exact(wanted)
        for name, most in self._allowed.items():
            taken, more = self._spent[name] + self._reserved[name], amounts.get(name, Fraction(0))
            if taken + more > most:
                raise LimitError(name, allowed=float(most), spent=float(taken), wanted=float(more))
        for name, amount in amounts.items():
            self._reserved[name] += amount
        return Reservation(amounts, self._settle)

    def left_s(self) -> float | None:
        """Seconds until the session's time is over, at least 0; None where it has no end."""
        seconds = self.limits.seconds
        return None if seconds is None else max(seconds - self._age(), 0.0)

    def check_time(self) -> None:
        """Check that the session has time left.

        :raises LimitError: when it has not.
        """
        seconds, age = self.limits.seconds, self._age()
        if seconds is not None and age >= seconds:
            raise LimitError("seconds", allowed=seconds, spent=age, wanted=0.0)

    @asynccontextmanager
    async def in_time(self) -> AsyncGenerator[None, None]:
        """Run the block within the time that is left.

        :raises LimitError: when it is over before the block is.
        """
        timer = asyncio.timeout(self.left_s())
        try:
            async with timer:
                yield
        except TimeoutError:
            if timer.expired():
                limit = self.limits.seconds or 0.0
                raise LimitError("seconds", allowed=limit, spent=self._age(), wanted=0.0) from None
            raise

    def _settle(self, held: _Amounts, taken: _Amounts) -> None:
        for name, amount in held.items():
            self._reserved[name] -= amount
        for name, amount in taken.items():
            self._spent[name] += amount

    def _age(self) -> float:
        return self._clock() - self._began


def _exact(amounts: Mapping[str, float]) -> dict[str, Fraction]:
    """The amounts as the decimals that they are written as."""
    for name, amount in amounts.items():
        if name not in AMOUNTS or not 0 <= amount < float("inf"):
            known = ", ".join(AMOUNTS)
            raise ValueError(f"expected a number of at least 0 of {known}; got {name}={amount!r:.60}")
    return {
        name: Fraction(amount if isinstance(amount, int) else repr(float(amount)))
        for name, amount in amounts.items()
    }


def _told(amounts: _Amounts, seconds: float) -> Spent:
    return Spent(
        requests=int(amounts["requests"]),
        tokens=int(amounts["tokens"]),
        tool_calls=int(amounts["tool_calls"]),
        seconds=seconds,
        usd=float(amounts["usd"]),
        joules=float(amounts["joules"]),
        escalations=int(amounts["escalations"]),
    )
