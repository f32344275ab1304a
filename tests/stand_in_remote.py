"""Stands in for a remote server that speaks the OpenAI wire, well or badly: bytes on a real socket.

Nothing here is a model. Each test says what is sent in answer to each request, byte for byte.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One connection, as an answer uses it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, said: bytes) -> None:
        self.writer.write(said)
        await self.writer.drain()

    async def is_left(self) -> None:
        """Wait until the client has gone."""
        await self.reader.read()


Answer = Callable[[Line], Awaitable[None]]
DONE = b"data: [DONE]\n\n"


@dataclass
class StandIn:
    """A server that answers with `answer`; `asked` holds the bodies, `headers` what came with them."""

    answer: Answer
    port: int = 0
    connections: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(Line(reader, writer)))
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    async def _serve(self, line: Line) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with closed(line.writer):
                while not line.writer.is_closing():
                    await _read_request(line.reader, self)
                    await self.answer(line)


@asynccontextmanager
async def closed(writer: asyncio.StreamWriter) -> AsyncGenerator[None, None]:
    """Close `writer` at the end of the block."""
    try:
        yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def stand_in_remote(*said: bytes | Answer, status: int = 200) -> AsyncGenerator[StandIn, None]:
    """A server on a free port that answers every request with `said`."""
    place = StandIn(answering(*said, status=status))
    server = await asyncio.start_server(place.connect, "127.0.0.1", 0)
    place.port = server.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        server.close()
        for task in place.open:
            task.cancel()
        await asyncio.gather(*place.open, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, place: StandIn) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(headers["content-length"]))
    place.headers.append({"request": head[0], **headers})
    place.asked.append(json.loads(body))


def answering(*said: bytes | Answer, status: int = 200) -> Answer:
    """One whole chunked response, each part of `said` a chunk of its own; what is no bytes is awaited."""
    kind = "content-type: text/event-stream\r\ntransfer-encoding: chunked"

    async def answer(line: Line) -> None:
        if status == 204:  # has no body, by its meaning
            await line.say(b"HTTP/1.1 204 Whatever\r\n\r\n")
            return
        await line.say(f"HTTP/1.1 {status} Whatever\r\n{kind}\r\n\r\n".encode())
        for part in said:
            if callable(part):
                await part(line)
            elif part:
                await line.say(b"%x\r\n%s\r\n" % (len(part), part))
        await line.say(b"0\r\n\r\n")

    return answer


async def reset(line: Line) -> None:
    """Tear the connection down."""
    line.writer.transport.abort()
    raise ConnectionResetError


async def hang(line: Line) -> None:
    """Say nothing more until the client has gone."""
    await line.is_left()


def pause(seconds: float) -> Answer:
    """Say nothing for so long."""

    async def wait(line: Line) -> None:
        await asyncio.sleep(seconds)

    return wait


def event(*choices: dict[str, Any], **fields: Any) -> bytes:
    """One `data:` event."""
    chunk = {"object": "chat.completion.chunk", "choices": choices, **fields}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


def choice(
    text: str | None = None, index: int = 0, finish: str | None = None, **fields: Any
) -> dict[str, Any]:
    """One choice of a chunk; `fields` go beside its delta."""
    delta = {} if text is None else {"content": text}
    return {"index": index, "delta": delta, "finish_reason": finish, **fields}


def words(*texts: str) -> list[bytes]:
    """Events for a whole answer, without usage and `[DONE]`."""
    return [*(event(choice(text)) for text in texts), event(choice(finish="stop"))]


def logprobs(token: str, logprob: Any, top: Sequence[tuple[str, Any]] = ()) -> dict[str, Any]:
    """The log-probabilities of one token, as they stand in a choice."""
    others = [{"token": text, "logprob": value} for text, value in top]
    return {"content": [{"token": token, "logprob": logprob, "top_logprobs": others}]}


def refusing(status: int, body: bytes = b"", **headers: str) -> Answer:
    """A whole response with an error status; `headers` with `_` for `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(line: Line) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        await line.say(head.encode() + body)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Each request gets the next of `answers`; the last one answers all the rest."""
    left = list(answers)

    async def answer(line: Line) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(line)

    return answer
