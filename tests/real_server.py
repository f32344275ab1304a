"""The real thing for tests: `pinnace serve` in a process of its own, on vLLM with SmolLM2-135M."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import httpx

ROOT = Path(__file__).parent.parent
START_S = 300


@dataclass
class Running:
    """A process with a port; its stderr goes to a file that `lines` reads."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    folder: Path = field(default_factory=Path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def stop(self, number: int = signal.SIGTERM, patience_s: float = 60) -> int:
        self.process.send_signal(number)
        return self.process.wait(patience_s)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def spawned(
    command: list[str], port: int, log: Path, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Generator[Running, None, None]:
    """Run `command` during the block; whatever is left of it afterwards is killed."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield Running(process, port, log, cwd)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def stand_in_large(port: int, folder: Path, word_s: float = 0.0) -> Generator[Running, None, None]:
    """The stand-in for the large model, on `port`; it takes `word_s` seconds for each word."""
    command = [sys.executable, str(ROOT / "tests" / "stand_in_large.py"), str(port), str(word_s)]
    with spawned(command, port, folder / "large.log") as running:
        wait_for(lambda: is_listening(port), running, 30)
        yield running


@contextmanager
def pinnace_serve(config: Path, folder: Path, environ: Mapping[str, str]) -> Generator[Running, None, None]:
    """`pinnace serve` in `folder`, not yet ready."""
    port = free_port()
    command = [sys.executable, "-m", "pinnace", "serve", "--config", str(config), "--port", str(port)]
    with spawned(command, port, folder / "serve.log", environ, cwd=folder) as running:
        yield running


def wait_ready(running: Running) -> None:
    wait_for(lambda: status_of(f"{running.url}/health/ready") == 200, running, START_S)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status_of(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0


def wait_for(question, running: Running, seconds: float) -> None:
    """Wait until `question()` is true; fails with the log, what runs and waits, and how long asking took."""
    until, times, longest = time.monotonic() + seconds, 0, 0.0
    while True:
        began = time.monotonic()
        if question():
            return
        now, times = time.monotonic(), times + 1
        longest = max(longest, now - began)
        asked = f"asked {times} times in {seconds} s, the longest took {longest:.1f} s"
        assert running.process.poll() is None, "\n".join(running.lines()[-30:])
        assert now < until, "\n".join([*running.lines()[-30:], *_standing(running), asked])
        time.sleep(0.2)


def metrics_of(running: Running) -> str:
    """What `/metrics` says, asked for in the plainest way there is."""
    with urlopen(f"{running.url}/metrics", timeout=60) as answer:
        return answer.read().decode()


def _standing(running: Running) -> list[str]:
    told = ("pinnace_running", "pinnace_queued")
    return [line for line in metrics_of(running).splitlines() if line.startswith(told)]
