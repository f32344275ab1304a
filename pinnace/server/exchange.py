"""One request and its one response: its id, what was sent of it, and how it ends when it fails.

Whatever an endpoint sends goes through here, so that every response has its `x-request-id`, and an
error is a status before the headers left, an event after them. Knows nothing of what is asked.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from pinnace.server.envelope import Envelope, Header
from pinnace.server.lifeline import Lifeline
from pinnace.server.sse import frame

LINGER_S = 2.0
_SANE_ID = re.compile(rb"[!-~]{1,128}")
_JSON = (b"content-type", b"application/json")
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class Exchange:
    """One request and its response.

    `status` is None until the headers have left; `model` is the fleet member that answered, for the
    metrics; `lifeline` is what the work hangs on.
    """

    def __init__(self, request_id: str, send: Send) -> None:
        self.id = request_id
        self.lifeline = Lifeline()
        self.model = "none"
        self.status: int | None = None
        self._is_stream = False
        self._began = time.monotonic()
        self._send = send

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self._began

    async def send(self, message: Message) -> None:
        """ASGI's send, for endpoints that are plain Starlette ones."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), (b"x-request-id", self.id.encode())]
        await self._send(message)

    async def answer(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole JSON response."""
        await self._begin(status, [_JSON, (b"content-length", b"%d" % len(body)), *headers])
        await self.end(body)

    async def begin_stream(self, headers: Iterable[Header]) -> None:
        """Send the headers of a stream of events."""
        self._is_stream = True
        await self._begin(200, [*_EVENTS, *headers])

    async def write(self, data: bytes) -> None:
        """Send the next part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, envelope: Envelope, receive: Receive) -> None:
        """End with an error: a status while the headers are here, an event without `[DONE]` after that."""
        body = envelope.body()
        if self.status is None and envelope.status == 413:
            await self._fail_while_reading(envelope, body, receive)
        elif self.status is None:
            await self.answer(envelope.status, envelope.all_headers(), body)
        elif self._is_stream:
            await _briefly(self.end(frame(body)))

    async def _fail_while_reading(self, envelope: Envelope, body: bytes, receive: Receive) -> None:
        """Answer a client that is still sending, and throw away what it sends for a moment more.

        Closing at once would reset the connection, and many clients then never see the answer.
        """
        length = (b"content-length", b"%d" % len(body))
        headers = [_JSON, length, (b"connection", b"close"), *envelope.all_headers()]
        await self._begin(envelope.status, headers)
        await self.write(body)
        await _briefly(_throw_away(receive))
        await self.end()

    async def _begin(self, status: int, headers: Sequence[Header]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})


async def _throw_away(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


async def _briefly(work: Coroutine[None, None, None]) -> None:
    """Do what may hang on a client that neither reads nor leaves, and give up after a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await work


def request_id_of(scope: Scope) -> str:
    """The client's `x-request-id` where it is 1 to 128 printable ASCII characters, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode("ascii")
    return f"req-{uuid.uuid4().hex}"


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that the request in `scope` belongs to."""
    exchange = scope["pinnace.exchange"]
    assert isinstance(exchange, Exchange)
    return exchange
