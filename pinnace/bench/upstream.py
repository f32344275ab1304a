"""A stand-in for a remote model: a process that speaks OpenAI's wire and always answers the same, at once.

It does as little as a server can, so that what is measured through a gateway is the gateway. It can be
told to refuse everything with 503, and counts what it was asked. Run as `python -m pinnace.bench.upstream`.
"""

import asyncio
import json
import threading
from typing import Any, cast

import uvicorn

from pinnace.bench.worker import answer_lines

WORDS = 20
HOST = "127.0.0.1"
_STREAM = (b'"stream":true', b'"stream": true')


def _event(choices: list[object], usage: object = None) -> bytes:
    head = {"id": "chatcmpl-fixed", "object": "chat.completion.chunk", "created": 1, "model": "fixed"}
    fields = {**head, "choices": choices} | ({} if usage is None else {"usage": usage})
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def _piece(delta: dict[str, str], reason: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "finish_reason": reason}])


def _response(status: str, kind: str, body: bytes, *further: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *further]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


_USAGE = {"prompt_tokens": 5, "completion_tokens": WORDS, "total_tokens": WORDS + 5}
_TEXT = "word " * WORDS
_MESSAGE = {"role": "assistant", "content": _TEXT}
_WHOLE = {
    "id": "chatcmpl-fixed",
    "object": "chat.completion",
    "created": 1,
    "model": "fixed",
    "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
    "usage": _USAGE,
}
WHOLE = _response("200 OK", "application/json", json.dumps(_WHOLE).encode())
STREAMED = _response(
    "200 OK",
    "text/event-stream",
    b"".join(
        (
            _piece({"role": "assistant", "content": ""}),
            *(_piece({"content": "word "}) for _ in range(WORDS)),
            _piece({}, "stop"),
            _event([], _USAGE),
            b"data: [DONE]\n\n",
        )
    ),
)
_ERROR = {"error": {"message": "overloaded", "type": "server_error", "code": "overloaded"}}
REFUSED = _response("503 Service Unavailable", "application/json", json.dumps(_ERROR).encode())


class Counter:
    """What the stand-in is told to do, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_failing = False


class Answering(asyncio.Protocol):
    """One connection: reads a request, answers it, reads the next."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._transport: asyncio.WriteTransport | None = None
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """The loop's."""
        self._read += data
        while (request := self._next()) is not None:
            assert self._transport is not None, "data comes on a connection"
            self._transport.write(self._answer(request))

    def _next(self) -> bytes | None:
        """The next whole request, head and body, where it is there."""
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return None
        whole = end + 4 + _length(bytes(self._read[:end]))
        if len(self._read) < whole:
            return None
        request = bytes(self._read[:whole])
        del self._read[:whole]
        return request

    def _answer(self, request: bytes) -> bytes:
        self._counter.asked += 1
        if self._counter.is_failing:
            return REFUSED
        return STREAMED if any(mark in request for mark in _STREAM) else WHOLE


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Upstream:
    """The server, on a loop in a thread of its own."""

    def __init__(self) -> None:
        self.counter = Counter()
        self._loop: asyncio.AbstractEventLoop = uvicorn.Config("", log_config=None).get_loop_factory()()  # type: ignore[misc]
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)

    def start(self) -> int:
        """Serve; returns the port."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    async def _serve(self) -> int:
        server = await self._loop.create_server(lambda: Answering(self.counter), HOST, 0)
        return int(server.sockets[0].getsockname()[1])

    def answer(self, question: Any) -> object:
        """`start` says the port; `failing` sets whether all is refused; `asked` counts, and forgets."""
        if "start" in question:
            return self.start()
        if "failing" in question:
            self.counter.is_failing = question["failing"]
        asked, self.counter.asked = self.counter.asked, 0
        return asked


def main() -> None:
    """Answer lines."""
    answer_lines(Upstream().answer)


if __name__ == "__main__":
    main()
