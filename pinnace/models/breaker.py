"""A circuit breaker: a backend that keeps failing is left alone for a while, then tried with one request.

Closed, it counts: with enough failures among the last requests, and a large enough share of them, it opens.
Open, it lets nobody through. After its rest it is half open: one request goes through as a probe. Where that
answers, it closes; where it fails, it rests twice as long. Pure: the clock is given, nothing is waited for.

Own code, since it must judge a stream by its first token, forget one that was cancelled, and ignore answers
of before it opened: more than a wrapper around a call that returns or raises.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal

from pinnace.config import Breaker as Settings

State = Literal["closed", "half_open", "open"]


class Visit:
    """One request that was let through. Tell it how the backend did: the first word counts."""

    def __init__(self, breaker: "Breaker", era: int) -> None:
        self._breaker = breaker
        self._era = era
        self._is_told = False

    def succeeded(self) -> None:
        """The backend answers."""
        self._tell(True)

    def failed(self) -> None:
        """The backend does not answer as it should."""
        self._tell(False)

    def ended(self) -> None:
        """Nothing was learnt of the backend, unless something was told before: the client left, say."""
        self._tell(None)

    def broke(self) -> None:
        """It had answered, and broke off after all."""
        if self._is_told:
            self._breaker.note(self._era, False)
        else:
            self.failed()

    def _tell(self, answered: bool | None) -> None:
        if not self._is_told:
            self._is_told = True
            self._era = self._breaker.note(self._era, answered)


class Breaker:
    """One backend's.

    :param now: seconds of a clock that never goes back.
    """

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._votes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._era = 0
        self._rest_s = settings.rest_s
        self._opened_at: float | None = None
        self._is_probing = False

    def state(self) -> State:
        """What it is now."""
        if self._opened_at is None:
            return "closed"
        return "open" if self.rest_left() > 0 else "half_open"

    def rest_left(self) -> float:
        """Seconds until it may be tried again; 0 where it may be already."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._rest_s - (self._now() - self._opened_at))

    def enter(self) -> Visit | None:
        """Let a request through; None where the backend is to be left alone."""
        state = self.state()
        if state == "open" or (state == "half_open" and self._is_probing):
            return None
        if state == "half_open":
            self._is_probing = True
        return Visit(self, self._era)

    def note(self, era: int, answered: bool | None) -> int:
        """Count how a request of that era did; one of an era that is over says nothing of this one.

        :returns: the era that the request belongs to now: a probe that answers is the first of a new one.
        """
        if era != self._era:
            return era
        if self._opened_at is not None:
            self._note_probe(answered)
        elif answered is not None:
            self._count(answered)
        return self._era

    def _note_probe(self, answered: bool | None) -> None:
        self._is_probing = False
        if answered is True:
            self._change(None, self._settings.rest_s)
        elif answered is False:
            self._change(self._now(), min(2 * self._rest_s, self._settings.longest_rest_s))

    def _count(self, answered: bool) -> None:
        now = self._now()
        self._votes.append((now, answered))
        self._failures += not answered
        while self._votes[0][0] <= now - self._settings.window_s or len(self._votes) > self._settings.votes:
            self._failures -= not self._votes.popleft()[1]
        enough = self._failures >= self._settings.failures
        if not answered and enough and self._failures >= self._settings.ratio * len(self._votes):
            self._change(now, self._settings.rest_s)

    def _change(self, opened_at: float | None, rest_s: float) -> None:
        """Open or close: a new era, with nothing counted yet."""
        self._era += 1
        self._opened_at, self._rest_s = opened_at, rest_s
        self._votes.clear()
        self._failures = 0
        self._is_probing = False
