"""`pinnace serve`, and whatever else serves, as a process of its own on a free port of loopback."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnace.errors import BackendUnavailableError

HOST = "127.0.0.1"
START_S = 180.0
STOP_S = 20.0
POLL_S = 0.1
LAST_WORDS = 3000


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Server:
    """Where a process serves, and which one it is."""

    port: int
    pid: int


@asynccontextmanager
async def served(name: str, document: Mapping[str, Any], scratch: Path) -> AsyncGenerator[Server, None]:
    """Run `pinnace serve` on the configuration `document` during the block.

    :raises BackendUnavailableError: when it does not get ready; has what it said.
    """
    folder = scratch / name
    folder.mkdir()
    config = folder / "router.yaml"
    config.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "pinnace", "serve", "--config", str(config)]
    async with listening(name, command, "/health/ready", folder) as server:
        yield server


@asynccontextmanager
async def listening(
    name: str,
    command: Sequence[str],
    ready_path: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[Server, None]:
    """Run `command --port PORT` in `folder` until the block ends; yields once it is ready.

    :param ready_path: what answers 200 when it is.
    """
    port, log = free_port(), folder / "log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *(*command, "--port", str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **(environ or {})},
            cwd=folder,
            start_new_session=True,
        )
    try:
        await _wait_ready(name, process, port, ready_path, log)
        yield Server(port, process.pid)
    finally:
        await _end(process)


async def _wait_ready(
    name: str, process: asyncio.subprocess.Process, port: int, path: str, log: Path
) -> None:
    until = time.monotonic() + START_S
    while await _status(port, path) != 200:
        if process.returncode is not None or time.monotonic() > until:
            raise BackendUnavailableError(f"{name}: did not get ready; its last words:\n{_last_words(log)}")
        await asyncio.sleep(POLL_S)


def _last_words(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]


async def _status(port: int, path: str) -> int:
    """The status of a GET; 0 where nobody answers."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return 0
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to stop, and kill what is left of it."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
