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
from pinnace.models.fleet import Fleet
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admission import Admission
from pinnace.server.auth import Keys
from pinnace.server.chat import ChatCompletions
from pinnace.server.envelope import (
    CLIENT_GONE,
    RETRY_SOON_S,
    ClientGoneError,
    Envelope,
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
        self.metrics = Metrics(
            running=lambda: self.admission.running, queued=lambda: self.admission.queued
        )
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
        try:
            async with self.lifelines.hold() as lifeline:
                exchange = Exchange(request_id_of(scope), lifeline, send)

