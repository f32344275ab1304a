"""What stays when a new configuration takes over: places, lifelines and counters, one of each in a server."""

from collections.abc import Mapping

from pinnace.config import Server
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admission import Admission
from pinnace.server.auth import Keys
from pinnace.server.lifeline import Lifelines
from pinnace.server.metrics import Metrics
from pinnace.server.tracing import make_tracing


class Standing:
    """`dispatcher` and `config` are those that serve now.

    `admission` bounds what runs, `lifelines` are the requests in the house, `metrics` counts them.
    """

    def __init__(self, dispatcher: Dispatcher, config: Server) -> None:
        self.dispatcher = dispatcher
        self.config = config
        self.keys: Keys | None = None
        self.admission = Admission.from_config(config)
        self.lifelines = Lifelines()
        self.tracing = make_tracing(config.tracing, self._kinds)
        self.metrics = Metrics(
            running=lambda: self.admission.running,
            queued=lambda: self.admission.queued,
            backends=lambda: self.dispatcher.fleet.backends,
        )

    def _kinds(self) -> Mapping[str, str]:
        """What kind of backend each fleet member has."""
        return {name: backend.card.backend for name, backend in self.dispatcher.fleet.backends.items()}

    def renew(self, dispatcher: Dispatcher, config: Server) -> None:
        """Go on under these; who is in stays in."""
        self.dispatcher = dispatcher
        self.config = config
        self.admission.resize(config)
