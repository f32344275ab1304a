"""A server process from its first log line to its exit code: start, readiness, drain, signals."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from server_fixtures import ASK, eventually

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) [\w.]+: .+")
SCRIPT = """
import sys
from pinnace.config import Server
from pinnace.server.serving import run_server
from server_fixtures import *
fleet = scripted_fleet({members})
dispatcher = ScriptedDispatcher(fleet, starting_s={starting_s})
sys.exit(run_server(dispatcher, Server(port={port}, drain_s={drain_s})))
"""
SLOW = 'member("only", {"answer": "word " * 40, "token_s": 0.05})'
STALLED = 'member("only", {"answer": "one two three four five", "fault": "stall", "fault_after": 4})'
BROKEN = """
from pinnace.errors import SelfTestError

async def fail(self):
    raise SelfTestError("expected 'Paris', got 'Lyon'")

ScriptedBackend.start = fail
"""


class Process:
    """A server that runs in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip("\n"))

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    async def listens(self) -> None:
        await eventually(lambda: self.said("listening on "), seconds=20)
        self.url = next(line.split("listening on ")[1] for line in self.lines if "listening on" in line)

    async def is_ready(self) -> None:
        await self.listens()
        await eventually(lambda: self.said("ready: "), seconds=20)

    async def exit_code(self) -> int:
        async with asyncio.timeout(20):
            code = await self.process.wait()
            await self._reading
        return code

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=20)


@asynccontextmanager
async def server(
    members: str = "", *, starting_s: float = 0.0, drain_s: float = 20, port: int = 0, before: str = ""
) -> AsyncGenerator[Process, None]:
    script = SCRIPT.format(members=members, starting_s=starting_s, drain_s=drain_s, port=port)
    script = script.replace("fleet =", before + "fleet =")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    running = Process(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.exit_code()


def body(**fields: object) -> dict[str, object]:
    return {"model": "auto", "messages": ASK, **fields}


async def test_it_is_alive_before_it_is_ready_and_leaves_with_zero() -> None:
    async with server(starting_s=0.6) as running:
        await running.listens()
        async with running.http() as http:
            assert (await http.get("/health/live")).status_code == 200
            ready = await http.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "starting")
            refused = await http.post("/v1/chat/completions", json=body())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
            assert refused.headers["retry-after"] == "5"
            await running.is_ready()
            assert (await http.get("/health/ready")).status_code == 200
            assert (await http.post("/v1/chat/completions", json=body())).status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert [line for line in running.lines if not LOG_LINE.fullmatch(line)] == []
    assert running.said("ready: small, large")


async def test_sigterm_drains_what_runs_and_refuses_what_comes() -> None:
    async with server(SLOW) as running:
        await running.is_ready()
        async with running.http() as http:
            answer = asyncio.create_task(http.post("/v1/chat/completions", json=body()))
            await asyncio.sleep(0.3)
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: running.said("stopping: 1 requests"))
            ready = await http.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            refused = await http.post("/v1/chat/completions", json=body())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
            assert refused.headers["retry-after"] == "20"
            whole = await answer
            assert whole.status_code == 200
            assert whole.json()["choices"][0]["message"]["content"] == "word " * 40
        assert await running.exit_code() == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_outlasts_the_drain_is_told_so(stream: bool) -> None:
    async with server(STALLED, drain_s=0.3) as running:
        await running.is_ready()
        async with running.http() as http:
            answer = asyncio.create_task(http.post("/v1/chat/completions", json=body(stream=stream)))
            await asyncio.sleep(0.3)
            running.process.send_signal(signal.SIGTERM)
            response = await answer
        assert await running.exit_code() == 0
    assert response.status_code == (200 if stream else 503)
    assert '"code": "draining"' in response.text
    assert "[DONE]" not in response.text
    assert running.said("1 requests are broken off")
    assert [line for line in running.lines if not LOG_LINE.fullmatch(line)] == []


async def test_a_second_signal_stops_at_once() -> None:
    async with server(STALLED, drain_s=60) as running:
        await running.is_ready()
        async with running.http() as http:
            answer = asyncio.create_task(http.post("/v1/chat/completions", json=body()))
            await asyncio.sleep(0.3)
            running.process.send_signal(signal.SIGINT)
            await eventually(lambda: running.said("stopping: 1 requests"))
            running.process.send_signal(signal.SIGTERM)
            assert (await answer).status_code == 503
        assert await running.exit_code() == 0


async def test_the_echo_of_a_signal_does_not_cut_the_drain_short() -> None:
    async with server(SLOW, drain_s=60) as running:
        await running.is_ready()
        async with running.http() as http:
            answer = asyncio.create_task(http.post("/v1/chat/completions", json=body()))
            await asyncio.sleep(0.3)
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: running.said("stopping: 1 requests"))
            running.process.send_signal(signal.SIGTERM)
            assert (await answer).status_code == 200
        assert await running.exit_code() == 0


async def test_a_signal_while_starting_stops_too() -> None:
    async with server(starting_s=60) as running:
        await running.listens()
        running.process.send_signal(signal.SIGTERM)
        assert await running.exit_code() == 0
    assert not running.said("ready: ")


async def test_a_fleet_that_cannot_serve_says_why_and_exits_with_one() -> None:
    async with server(before=BROKEN) as running:
        assert await running.exit_code() == 1
    assert running.said("cannot serve: no fleet member can serve: small: expected 'Paris', got 'Lyon'")
    assert [line for line in running.lines if not LOG_LINE.fullmatch(line)] == []


async def test_a_port_in_use_is_one_line_and_exit_code_one() -> None:
    async with server() as first:
        await first.listens()
        port = int(first.url.rsplit(":", 1)[1])
        async with server(port=port) as second:
            assert await second.exit_code() == 1
    assert len(second.lines) == 1
    assert second.said(f"cannot listen on http://127.0.0.1:{port}: Address already in use")
