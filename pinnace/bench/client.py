"""The load client: a process of its own that puts loads on an endpoint over HTTP, as cheaply as can be.

It takes its time from the cores that the engine computes on, so it parses HTTP in C (httptools) and
looks at nothing of an answer but its first byte and its end. Run as `python -m pinnace.bench.client`.
"""

import asyncio
import importlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import uvicorn

from pinnace.bench.load import Answer, Load, Measured, drive, load_of
from pinnace.bench.prompts import chat_of
from pinnace.bench.worker import answer_lines
from pinnace.errors import BackendUnavailableError

DONE = b"data: [DONE]\n\n"
_COMPLETION_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, and how."""

    host: str
    port: int
    model: str
    stream: bool


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._httptools: Any = importlib.import_module("httptools")
        self._parser: Any = None
        self._transport: asyncio.WriteTransport | None = None
        self._whole: asyncio.Future[bytes] | None = None
        self._pieces: list[bytes] = []
        self.first: float | None = None

    async def post(self, head: bytes, body: bytes) -> bytes:
        """Send one request, and return the body of its answer.

        :raises BackendUnavailableError: when the status is not 200, or the connection is lost.
        """
        assert self._transport is not None, "connect before asking"
        self._parser = self._httptools.HttpResponseParser(self)
        self._whole, self._pieces, self.first = asyncio.get_running_loop().create_future(), [], None
        self._transport.write(head % len(body) + body)
        return await self._whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """The loop's."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop's."""
        self._settle(BackendUnavailableError(f"the endpoint hung up: {exc or 'no reason given'}"))

    def on_body(self, body: bytes) -> None:
        """The parser's."""
        self.first = self.first or time.perf_counter()
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The parser's."""
        body, status = b"".join(self._pieces), self._parser.get_status_code()
        if status == 200:
            self._settle(body)
        else:
            self._settle(BackendUnavailableError(f"the endpoint answered {status}: {body[:500].decode()}"))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _settle(self, outcome: bytes | Exception) -> None:
        whole, self._whole = self._whole, None
        if whole is None or whole.done():
            return
        if isinstance(outcome, Exception):
            whole.set_exception(outcome)
        else:
            whole.set_result(outcome)


async def run(target: Target, load: Load) -> Measured:
    """Put `load` on `target`, one connection per asker, all connected before the clock starts."""
    connect = partial(asyncio.get_running_loop().create_connection, Connection, target.host, target.port)
    connections = [connection for _, connection in [await connect() for _ in range(load.concurrency)]]
    bodies = {prompt: body_of(target, prompt, load.max_tokens) for prompt in load.prompts}
    head = head_of(target)

    async def ask(prompt: str, number: int) -> Answer:
        connection = connections[number]
        answer = await connection.post(head, bodies[prompt])
        return Answer(tokens_of(answer, stream=target.stream), connection.first if target.stream else None)

    try:
        return await drive(load, ask)
    finally:
        for connection in connections:
            connection.close()


def head_of(target: Target) -> bytes:
    """The request's head, with a place for the length of its body."""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {target.host}:{target.port}\r\n"
        "content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    ).encode("ascii")


def body_of(target: Target, prompt: str, max_tokens: int) -> bytes:
    """The request's body."""
    messages = [{"role": message.role, "content": message.content} for message in chat_of(prompt)]
    fields = {"model": target.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
    if target.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(fields).encode()


def tokens_of(body: bytes, *, stream: bool) -> int:
    """Tokens that the endpoint says it generated.

    :raises BackendUnavailableError: when the answer has no end.
    """
    counts: Sequence[bytes] = _COMPLETION_TOKENS.findall(body)
    if not counts or (stream and not body.endswith(DONE)):
        end = body[-500:].decode(errors="replace")
        raise BackendUnavailableError(f"the endpoint's answer broke off: {end}")
    return int(counts[-1])


def main() -> None:
    """Answer lines of `{"target": ..., "load": ...}` with what was measured."""
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        def answer(question: Any) -> object:
            return asdict(runner.run(run(Target(**question["target"]), load_of(question["load"]))))

        answer_lines(answer)


if __name__ == "__main__":
    main()
