"""The endpoint as one ASGI application, and its outermost edge.

Every request gets an id, a lifeline and a key check, goes to its path, and leaves with an answer, an
error in OpenAI's envelope, or not at all where its client has left. Knows nothing of sockets, signals
or starting a fleet: that is `pinnace.server.serving`.
"""

import logging
import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from pinnace.config import Server
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admission import Admission
from pinnace.server.auth import Keys
from pinnace.server.chat import ChatCompletions
from pinnace.server.envelope import (
    CLIENT_GONE,
    RETRY_SOON_S,
    ClientGoneError,
    RefusedError,
    envelope_of,
    refused,
)
from pinnace.server.exchange import Exchange, request_id_of
from pinnace.server.lifeline import Lifelines
from pinnace.server.metrics import CONTENT_TYPE, Metrics

log = logging.getLogger(__name__)

CHAT_PATH = "/v1/chat/completions"
OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})


class App:
    """The ASGI application. Its parts are public for who serves or watches it.

    `admission` bounds what runs, `lifelines` are the requests in the house, `metrics` counts them.
    """

    def __init__(self, dispatcher: Dispatcher, config: Server) -> None:
        self.admission = Admission.from_config(config)
        self.lifelines = Lifelines()
        self.metrics = Metrics(running=lambda: self.admission.running, queued=lambda: self.admission.queued)
        self._fleet = dispatcher.fleet
        self._keys = Keys(key.get_secret_value() for key in config.api_keys)
        self._started = int(time.time())
        chat = ChatCompletions(dispatcher, self.admission, config.limits, self.metrics)
        self._router = self._routes(chat)

    def _routes(self, chat: ASGIApp) -> Router:
        routes = [
            Route(CHAT_PATH, chat, methods=["POST"], name="chat"),
            Route("/v1/models", self._models),
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
                await self._serve(scope, receive, exchange)
            code = exchange.status or CLIENT_GONE
        except ClientGoneError:
            code = CLIENT_GONE
        except Exception as error:
            code = await self._fail(scope, receive, exchange, error)
        if scope["path"] == CHAT_PATH:
            self.metrics.finished(exchange.model, code, exchange.elapsed())

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
            self._keys.check(scope["headers"])
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

    async def _models(self, request: Request) -> Response:
        """`auto`, and every fleet member that serves."""
        cards = self._fleet.cards()
        names = ["auto", *(card.name for card in cards)] if cards else []
        return JSONResponse({"object": "list", "data": [self._model(name) for name in names]})

    def _model(self, name: str) -> Mapping[str, object]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "pinnace"}

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
        state = "draining" if self.admission.is_closed() else "starting"
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
