"""One request and its one response: its id, what was sent of it, and how it ends when it fails.

Whatever an endpoint sends goes through here, so that every response has its `x-request-id`, and an
error is a status before the headers left, an event after them. Knows nothing of what is asked.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from pinnace.server.caller import Caller
from pinnace.server.envelope import Envelope, Header
from pinnace.server.headers import headers_of_sight
from pinnace.server.lifeline import Lifeline
from pinnace.server.sight import Sight
from pinnace.server.slow_reader import SlowReader
from pinnace.server.tally import Tally

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
    metrics; `lifeline` is what the work hangs on; `sight` what is known of it; `gaps` counts the times
    between its chunks. `caller` is who asks, once that is known, `priority` how urgently its header says,
    `is_private` whether its text must not be kept, and `also` are headers that every answer of it has.
    """

    def __init__(self, request_id: str, send: Send) -> None:
        self.id = request_id
        self.lifeline = Lifeline()
        self.model = "none"
        self.status: int | None = None
        self.sight = Sight()
        self.gaps: Tally | None = None
        self._last_chunk = 0.0
        self._failure: Callable[[Envelope], bytes] | None = None
        self.caller: Caller | None = None
        self.priority = 0
        self.is_private = False
        self.also: list[Header] = []
        self.reader: SlowReader | None = None
        self.write_timeout_s: float | None = None
        self._began = time.monotonic()
        self._send = send

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self._began

    async def send(self, message: Message) -> None:
        """ASGI's send, for endpoints that are plain Starlette ones."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.caller is not None:
                self.also += self.caller.headers()
            headers = message.get("headers", [])
            routed = headers_of_sight(self.sight, is_stream=self._failure is not None)
            message["headers"] = [*headers, *routed, (b"x-request-id", self.id.encode()), *self.also]
        await self._send(message)

    async def answer(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole JSON response."""
        await self._begin(status, [_JSON, (b"content-length", b"%d" % len(body)), *headers])
        await self.end(body)

    async def begin_stream(self, headers: Iterable[Header], failure: Callable[[Envelope], bytes]) -> None:
        """Send the headers of a stream of events; `failure` makes its last event where it breaks off."""
        self._failure = failure
        await self._begin(200, [*_EVENTS, *headers])
        if self.write_timeout_s is not None:
            self.reader = SlowReader(self.lifeline, self.write_timeout_s)

    async def write(self, data: bytes) -> None:
        """Send the next part of the body."""
        if self._failure is not None:
            self._note_chunk()
        message: Message = {"type": "http.response.body", "body": data, "more_body": True}
        if (reader := self.reader) is None:
            await self._send(message)
            return
        reader.begun += 1
        await self._send(message)
        reader.done += 1

    def _note_chunk(self) -> None:
        """When the next chunk of a stream leaves: the first since the request came, others since the last."""
        now, sight = time.perf_counter(), self.sight
        if sight.first_s is None:
            sight.first_s = now - sight.began
        elif self.gaps is not None:
            self.gaps.observe(now - self._last_chunk)
        sight.chunks += 1
        self._last_chunk = now

    async def end(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send_body({"type": "http.response.body", "body": data})
        if self.reader is not None:
            self.reader.stop()

    async def _send_body(self, message: Message) -> None:
        reader = self.reader
        if reader is None:
            await self._send(message)
            return
        reader.begun += 1
        await self._send(message)
        reader.done += 1

    async def fail(self, envelope: Envelope, receive: Receive) -> None:
        """End with an error: a status while the headers are here, an event without `[DONE]` after that."""
        body = envelope.body()
        if self.status is None and envelope.status in (408, 413):
            await self._fail_while_reading(envelope, body, receive)
        elif self.status is None:
            await self.answer(envelope.status, envelope.all_headers(), body)
        elif self._failure is not None:
            await _briefly(self.end(self._failure(envelope)))

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
    return f"req-{os.urandom(16).hex()}"


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that the request in `scope` belongs to."""
    exchange = scope["pinnace.exchange"]
    assert isinstance(exchange, Exchange)
    return exchange
