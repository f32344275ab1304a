"""`POST /v1/responses`: what is asked, and how its answer is written.

A response is the same conversation as a chat in other shapes: it becomes a chat's request, and its events
come from a chat's deltas. Nothing is kept. Knows the wire; `pinnace.server.asking` does the rest.
"""

import time
import uuid
from functools import partial

from starlette.types import Receive, Scope, Send

from pinnace.server.asking import Asked, Asker
from pinnace.server.exchange import exchange_of
from pinnace.server.generation import parsed
from pinnace.server.responses_answer import ResponseObject, WholeResponse
from pinnace.server.responses_stream import ResponseEvents
from pinnace.server.responses_wire import ResponsesRequest


class Responses:
    """The endpoint as an ASGI application of its own."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._asker.read(scope, receive)
        wanted = parsed(body, ResponsesRequest)
        request = wanted.to_request(self._asker.limits, f"resp_{uuid.uuid4().hex}")
        response = ResponseObject(wanted, request.id, int(time.time()))
        asked = Asked(
            request,
            wanted.model,
            self._asker.weight(body, request, wanted.model),
            partial(WholeResponse, response),
            partial(ResponseEvents, response) if wanted.stream else None,
        )
        await self._asker.answer(exchange_of(scope), receive, asked)
