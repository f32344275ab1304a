"""The asking client: a process of its own that puts flows of requests on an endpoint, whatever it answers.

Unlike `pinnace.bench.client`, a refusal is an answer to it: it notes status, `Retry-After`, first text and
end of every request. A flow asks in a closed loop, or in an open one at a pace that no answer slows down.
Run as `python -m pinnace.bench.asker`.
"""

import asyncio
import itertools
import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import partial
from typing import Any

import uvicorn

from pinnace.bench.client import Connection
from pinnace.bench.load import cpu_seconds
from pinnace.bench.worker import answer_lines
from pinnace.errors import BackendUnavailableError

DONE = b"data: [DONE]\n\n"
_COMPLETION_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
_FIRST_TEXT = b'"content":'
LOST = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """One stream of like requests to one place.

    `askers` ask in a closed loop, each its next when it has its answer, after `pause_s`. With `per_s`, they
    come instead at random moments, so many a second, whatever is answered. The flow ends after `seconds`, or
    after `count` requests. `bodies` are asked at `path` in turn, in place of the chat that the other fields
    make; `sign` is what only a whole answer to them has in it. After `leaves_after_s` an asker hangs up.
    """

    name: str
    port: int
    model: str
    stream: bool = False
    askers: int = 1
    pause_s: float = 0.0
    per_s: float | None = None
    seconds: float | None = None
    count: int | None = None
    max_tokens: int = 64
    prompt: str = "Say something."
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    host: str = "127.0.0.1"
    seed: int = 0
    path: str = "/v1/chat/completions"
    bodies: Sequence[Mapping[str, Any]] = ()
    sign: str | None = None
    leaves_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one request was answered with. Seconds; `at` since its flow began; a lost connection has status 0.

    `first_s` is the time to the first text of a stream, `is_whole` whether an answer came to its end, and
    `route` the models that Pinnace tried.
    """

    at: float
    status: int
    latency_s: float
    first_s: float | None
    tokens: int
    is_whole: bool
    retry_after: str | None
    route: str | None = None


class Line(Connection):
    """A connection on which every status is an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.status = LOST
        self.retry_after: str | None = None
        self.route: str | None = None
        self.first_text: float | None = None

    async def ask(self, head: bytes, body: bytes) -> bytes:
        """Send one request, and return the body of whatever is answered."""
        self.status, self.retry_after, self.route, self.first_text = LOST, None, None, None
        return await self.post(head, body)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's."""
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")
        elif name == b"x-pinnace-route":
            self.route = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """The parser's."""
        super().on_body(body)
        if self.first_text is None and self.has_text(body):
            self.first_text = time.perf_counter()

    def on_message_complete(self) -> None:
        """The parser's."""
        self.status = self._parser.get_status_code()
        self._settle(b"".join(self._pieces))

    @staticmethod
    def has_text(part: bytes) -> bool:
        """Whether a part of a stream has some of the answer, and not only who speaks."""
        return part.count(_FIRST_TEXT) > part.count(b'"content":""')


class Lines:
    """Connections to one place: as many as are asked on at once, used again when they are free."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._free: list[Line] = []
        self._all: list[Line] = []

    async def take(self) -> Line:
        """One that is free, or a new one."""
        if self._free:
            return self._free.pop()
        _, line = await asyncio.get_running_loop().create_connection(Line, *self._place)
        self._all.append(line)
        return line

    def give_back(self, line: Line) -> None:
        """It can be asked on again."""
        self._free.append(line)

    def close(self) -> None:
        """Hang up on all of them."""
        for line in self._all:
            line.close()


async def run(flows: Sequence[Flow]) -> dict[str, Any]:
    """Let all `flows` ask at once; what each was told by its name, and the CPU time that asking took."""
    cpu, told = cpu_seconds(), [list[Told]() for _ in flows]
    async with asyncio.TaskGroup() as going:
        for flow, found in zip(flows, told, strict=True):
            going.create_task(_flow(flow, found))
    answers = {flow.name: [astuple(each) for each in found] for flow, found in zip(flows, told, strict=True)}
    return {"told": answers, "cpu_s": cpu_seconds() - cpu}


async def _flow(flow: Flow, told: list[Told]) -> None:
    lines, began = Lines(flow.host, flow.port), time.perf_counter()
    bodies = itertools.cycle([json.dumps(body).encode() for body in flow.bodies or [_chat(flow)]])
    ask = partial(_ask, flow, lines, _head(flow), bodies, began, told)
    try:
        await (_closed(flow, began, ask) if flow.per_s is None else _open(flow, flow.per_s, began, ask))
    finally:
        lines.close()


async def _closed(flow: Flow, began: float, ask: Any) -> None:
    left = flow.count

    async def loop() -> None:
        nonlocal left
        while not _is_over(flow, began) and left != 0:
            if left is not None:
                left -= 1
            await ask()
            if flow.pause_s:
                await asyncio.sleep(flow.pause_s)

    async with asyncio.TaskGroup() as askers:
        for _ in range(flow.askers):
            askers.create_task(loop())


async def _open(flow: Flow, per_s: float, began: float, ask: Any) -> None:
    """Requests at random moments: the times between them are exponential, as of many who know nothing of
    each other."""
    draw, asked, due = random.Random(flow.seed), 0, began  # noqa: S311 - arrivals, not secrets
    async with asyncio.TaskGroup() as askers:
        while not _is_over(flow, began) and asked != flow.count:
            askers.create_task(ask())
            asked += 1
            due += draw.expovariate(per_s)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _is_over(flow: Flow, began: float) -> bool:
    return flow.seconds is not None and time.perf_counter() - began >= flow.seconds


async def _ask(
    flow: Flow, lines: Lines, head: bytes, bodies: Iterator[bytes], began: float, told: list[Told]
) -> None:
    line: Line | None = None
    asked = time.perf_counter()
    try:
        line = await lines.take()
        asked = time.perf_counter()
        async with asyncio.timeout(flow.leaves_after_s):
            answer = await line.ask(head, next(bodies))
    except (BackendUnavailableError, OSError):
        if line is not None:
            line.close()
        told.append(Told(asked - began, LOST, time.perf_counter() - asked, None, 0, False, None))
        return
    ended = time.perf_counter()
    lines.give_back(line)
    counts: list[bytes] = _COMPLETION_TOKENS.findall(answer)
    is_whole = line.status == 200 and _is_whole(flow, answer, bool(counts))
    first = line.first_text if flow.stream else None
    told.append(
        Told(
            at=asked - began,
            status=line.status,
            latency_s=ended - asked,
            first_s=None if first is None else first - asked,
            tokens=int(counts[-1]) if counts else 0,
            is_whole=is_whole,
            retry_after=line.retry_after,
            route=line.route,
        )
    )


def _is_whole(flow: Flow, answer: bytes, has_counts: bool) -> bool:
    if flow.sign is not None:
        return flow.sign.encode() in answer
    return answer.endswith(DONE) if flow.stream else has_counts


def _head(flow: Flow) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in flow.headers.items())
    return (
        f"POST {flow.path} HTTP/1.1\r\nhost: {flow.host}:{flow.port}\r\n"
        f"content-type: application/json\r\n{extra}content-length: %d\r\n\r\n"
    ).encode("ascii")


def _chat(flow: Flow) -> dict[str, Any]:
    messages = [{"role": "user", "content": flow.prompt}]
    fields = {"model": flow.model, "messages": messages, "max_tokens": flow.max_tokens}
    if flow.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return fields


def main() -> None:
    """Answer lines of `{"flows": [...]}` with what they were told."""
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        def answer(question: Any) -> object:
            return runner.run(run([Flow(**flow) for flow in question["flows"]]))

        answer_lines(answer)


if __name__ == "__main__":
    main()
