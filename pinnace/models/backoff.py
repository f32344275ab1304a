"""How long to wait before the next try: longer after each failure, up to a cap, never quite the same."""

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Seconds between tries. `failures` counts them; `healthy_s` without one makes it forget them.

    :param jitter: each wait is spread by this share, up and down, so that many servers do not try at once.
    """

    first_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 60.0
    jitter: float = 0.25
    healthy_s: float = 300.0
    random_state: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def next_s(self) -> float:
        """How long to wait after one more failure, at most `cap_s`."""
        plain = min(self.first_s * self.factor ** min(self.failures, 64), self.cap_s)
        self.failures += 1
        return min(plain * self.random_state.uniform(1 - self.jitter, 1 + self.jitter), self.cap_s)

    def lived(self, seconds: float) -> None:
        """What was started lasted so long; long enough, and its failures are forgotten."""
        if seconds >= self.healthy_s:
            self.failures = 0
