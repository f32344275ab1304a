"""A child process that answers one line of JSON with one line of JSON, from both ends.

The child has a session of its own, so that Ctrl-C reaches only the parent, and ends when its standard
input does, so that it does not outlive the parent, however that ends. Knows nothing of what is asked.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinnace.errors import BackendUnavailableError, PinnaceError

LONGEST_LINE = 2**27
PATIENCE_S = 30.0
AGAIN_S = 2.0
LAST_WORDS = 4000


class Worker:
    """The parent's end. `close` it, whatever happened."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log
        self._is_busy = False

    @classmethod
    async def start(cls, module: str, environ: Mapping[str, str], folder: Path) -> "Worker":
        """Run `python -m module` in exactly the environment `environ`; its log goes to a file in `folder`."""
        log = folder / f"{module}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=dict(environ),
                start_new_session=True,
                limit=LONGEST_LINE,
            )
        return cls(module, process, log)

    async def ask(self, question: object) -> Any:
        """Ask, and wait for the answer.

        :raises BackendUnavailableError: when the child failed or is gone; has what it said.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._is_busy = True
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        self._is_busy = False
        if not line:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
            raise BackendUnavailableError(f"{self.name}: ended before it answered; its last words:\n{said}")
        answer = json.loads(line)
        if "error" in answer:
            raise BackendUnavailableError(f"{self.name}: {answer['error']}")
        return answer["answer"]

    async def close(self) -> None:
        """End the child: interrupt what it does, let it clean up, and kill it where it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._ended()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # itself, or children that it left behind
        await self._process.wait()

    async def _ended(self) -> None:
        """Wait for the end, and interrupt a busy child again and again: it may be deaf for a moment."""
        while self._is_busy:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), AGAIN_S)
                return
        await self._process.wait()


def answer_lines(answer: Callable[[Any], object]) -> None:
    """The child's end: answer every line until there are no more, or SIGINT.

    Whatever else writes to standard output is sent to standard error. SIGINT is heard even where the parent
    ignores it, as a shell's background jobs do.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies, suppress(KeyboardInterrupt):
        os.dup2(2, 1)
        for line in sys.stdin:
            reply = _reply(answer, json.loads(line))
            replies.write(json.dumps(reply) + "\n")
            replies.flush()


def _reply(answer: Callable[[Any], object], question: Any) -> Mapping[str, object]:
    try:
        return {"answer": answer(question)}
    except (PinnaceError, OSError) as error:
        return {"error": str(error)}
