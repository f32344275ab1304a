"""The endpoint as one ASGI application, and its outermost edge.

Every request gets an id, a lifeline and a key check, goes to its path, and leaves with an answer, an
error in OpenAI's envelope, or not at all where its client has left. Knows nothing of sockets, signals
or starting a fleet: that is `pinnace.server.serving`.
"""

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from pinnace.config import Server
from pinnace.router.dispatch import Dispatcher
from pinnace.server.asking import Asker
from pinnace.server.auth import Keys
from pinnace.server.body import patient
from pinnace.server.caller import priority_of
from pinnace.server.deadline import deadline
from pinnace.server.endpoints import OPENAPI_PATH, openai_routes
from pinnace.server.envelope import (
    CLIENT_GONE,
    RETRY_SOON_S,
    ClientGoneError,
    RefusedError,
    envelope_of,
    refused,
)
from pinnace.server.exchange import Exchange, request_id_of
from pinnace.server.metrics import CONTENT_TYPE
from pinnace.server.privacy import is_private
from pinnace.server.response_cache import ResponseCache
from pinnace.server.slow_reader import SlowReaderError
from pinnace.server.standing import Standing
from pinnace.server.watch import Watch

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/metrics", OPENAPI_PATH})


class App:
    """The ASGI application. Its parts are public for who serves or watches it.

    `admission` bounds what runs, `lifelines` are the requests in the house, `metrics` counts them.
    """

    def __init__(self, dispatcher: Dispatcher, config: Server, standing: Standing | None = None) -> None:
        self.standing = standing = standing or Standing(dispatcher, config)
        self.admission, self.lifelines = standing.admission, standing.lifelines
        self.metrics = standing.metrics
        self.watch = dispatcher.watcher = Watch(self.metrics, standing.tracing)
        dispatcher.router.watch_batches(self.metrics.embedded)
        self._fleet = dispatcher.fleet
        self.config = config
        self.keys = standing.keys = Keys(config, dispatcher.spending, standing.keys)
        asker = Asker(dispatcher, self.admission, config.limits, ResponseCache(config.cache))
        self._router = self._routes(openai_routes(asker, dispatcher))

    def _routes(self, openai: list[Route]) -> Router:
        routes = [
            *openai,
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/metrics", self._metrics),
        ]
        return Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        exchange = scope["pinnace.exchange"] = Exchange(request_id_of(scope), send)
        try:
            async with self.lifelines.hold(exchange.lifeline):
                with self.watch.over(exchange, scope):
                    await self._serve(scope, receive, exchange)
            code = exchange.status or CLIENT_GONE
        except ClientGoneError as error:
            code = CLIENT_GONE
            if isinstance(error, SlowReaderError):
                self.metrics.refused("slow_reader")
        except Exception as error:
            code = await self._fail(scope, receive, exchange, error)
        self.watch.finished(exchange, code)

    def is_ready(self) -> bool:
        """Whether a chat request would be taken."""
        return self._fleet.is_ready() and not self.admission.is_closed()

    def close(self, retry_after: int) -> None:
        """Refuse new requests from now on, and say not ready; those in the house are served."""
        message = "The server is stopping and takes no new requests."
        self.admission.close(refused(503, message, code="draining", retry_after=retry_after).envelope)

    async def _serve(self, scope: Scope, receive: Receive, exchange: Exchange) -> None:
        """Check the key, then go to the path."""
        if scope["path"] not in OPEN_PATHS:
            caller = exchange.caller = self.keys.check(scope["headers"])
            exchange.priority = max(caller.priority, priority_of(scope["headers"]))
            exchange.is_private = is_private(scope["headers"])
            exchange.write_timeout_s = self.config.write_timeout_s
            if scope["method"] == "POST":
                caller.knock()
                receive = patient(receive, self.config.read_timeout_s, exchange.lifeline)
        with deadline(exchange.lifeline, scope["headers"], self.config.request_timeout_s):
            await self._router(scope, receive, exchange.send)

    async def _fail(self, scope: Scope, receive: Receive, exchange: Exchange, error: Exception) -> int:
        """Answer with what went wrong; returns its status."""
        envelope = envelope_of(error)
        if isinstance(error, RefusedError):
            self.metrics.refused(envelope.code or "other")
        elif envelope.status >= 500:
            bug = error if envelope.status == 500 else None
            log.error(
                "request %s: %d %s: %s", exchange.id, envelope.status, envelope.code, error, exc_info=bug
            )
        await exchange.fail(envelope, receive)
        return envelope.status

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, request: Request) -> Response:
        """Whether requests are taken, and what state every backend is in."""
        backends = {
            name: {"state": status.state, "detail": status.detail}
            for name, status in self._fleet.status.items()
        }
        if self.is_ready():
            return JSONResponse({"status": "ready", "backends": backends})
        states = {status.state for status in self._fleet.status.values()}
        state = "restarting" if "restarting" in states else "starting"
        state = "draining" if self.admission.is_closed() else state
        return JSONResponse(
            {"status": state, "backends": backends},
            status_code=503,
            headers={"retry-after": str(RETRY_SOON_S)},
        )

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.render(), headers={"content-type": CONTENT_TYPE})


def create_app(dispatcher: Dispatcher, config: Server) -> App:
    """The endpoint over `dispatcher`, which whoever calls this starts and drains."""
    return App(dispatcher, config)
