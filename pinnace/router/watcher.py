"""The seam for who watches requests being served: the server's metrics, traces and logs."""

from collections.abc import Sequence
from typing import Protocol

from pinnace.models.completion import Request
from pinnace.router.answer import Attempt, Committed
from pinnace.router.route import Route


class Watcher(Protocol):
    """Told of every route that is run, in the task that runs it. It must be quick, and raise nothing."""

    def routed(self, request: Request, route: Route, model: str) -> None:
        """`route` was chosen for `request`, which asked for `model`, and begins now."""
        ...

    def served(self, attempts: Sequence[Attempt], committed: Committed | None) -> None:
        """It is over, however it ended: all attempts, and what was committed to, if anything."""
        ...
