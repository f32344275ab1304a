"""The process that a vLLM engine runs in: which signals it heeds, when it ends, and how it is shut down.

A signal to stop reaches every process of a group or a service at once. Were the engine to heed it, the
answers that the server still wants to finish would end with it; so the engine leaves stopping to us, and
ends by itself only when we are gone. Knows nothing of models or requests.
"""

import asyncio
import importlib
import logging
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinnace.models.free_memory import keep_giving_back

log = logging.getLogger(__name__)

SHUTDOWN_S = 10
"""How long an engine may take to end before it is killed."""
ANSWER_S = 5.0
"""How long it may take to answer that it heeds signals again: a step of the engine, and then some."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXTENSION = "pinnace.models.engine_process.ProcessExtension"
_SHARED = Path("/dev/shm")  # noqa: S108 - not ours: read by name, and only to clean up
_before: dict[int, Any] = {}


class ProcessExtension:
    """Mixed into vLLM's worker; called over `collective_rpc`, on the main thread of the worker's process.

    Does nothing in a worker that has a process of its own beside its engine's.
    """

    def stand_apart(self, parent: int) -> None:
        """Ignore signals to stop from now on, and end when the process `parent` has ended."""
        if os.getppid() == parent and not _before:
            _before.update((number, signal.signal(number, signal.SIG_IGN)) for number in SIGNALS)
            threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()

    def give_memory_back(self) -> None:
        """Give free memory back to the system from now on."""
        keep_giving_back()

    def heed_signals(self) -> None:
        """Take signals as before `stand_apart`."""
        for number, taken in _before.items():
            signal.signal(number, taken)
        _before.clear()


def _end_with_parent() -> None:
    """Wait for the parent's end, however it ends, and end at once: nobody is left to answer."""
    parent = importlib.import_module("multiprocessing").parent_process()
    if parent is not None:
        importlib.import_module("multiprocessing.connection").wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


async def stand_apart(engine: Any) -> None:
    """Keep signals to stop from a started `AsyncLLM` that was made with a `ProcessExtension`, and small."""
    await engine.collective_rpc("stand_apart", args=(os.getpid(),))
    await engine.collective_rpc("give_memory_back")


async def shut_down(engine: Any) -> None:
    """Stop an `AsyncLLM` and its processes, alive or dead, ours or stock."""
    handler = engine.output_handler
    if handler is not None:
        if engine.vllm_config.parallel_config.worker_extension_cls and not engine.errored:
            with suppress(Exception):  # an engine that cannot answer is killed below
                await asyncio.wait_for(engine.collective_rpc("heed_signals"), ANSWER_S)
        handler.cancel()  # else it reports the shutdown as an engine failure
    pids = process_ids(engine)
    await asyncio.to_thread(engine.shutdown, timeout=SHUTDOWN_S)
    engine.shutdown = _is_shut_down  # its finalizer calls it again, when the interpreter is half gone
    sweep(pids)
    with suppress(AttributeError):
        engine.engine_core.resources.ctx.destroy(linger=0)  # else it keeps its descriptors until collected


def process_ids(engine: Any) -> list[int]:
    """The processes that an `AsyncLLM` has started itself."""
    with suppress(AttributeError):
        return [process.pid for process in engine.engine_core.resources.engine_manager.processes]
    return []


def sweep(pids: Sequence[int], shared: Path = _SHARED) -> None:
    """Remove the shared memory that Intel's OpenMP and loky name after a process, once it has ended.

    A process that was killed leaves it behind, and every restart would leave some more.
    """
    for pid in pids:
        for left in (*shared.glob(f"__KMP_REGISTERED_LIB_{pid}_*"), *shared.glob(f"sem.loky-{pid}-*")):
            left.unlink(missing_ok=True)


def how_it_ended(engine: Any) -> str:
    """How the process of a dead `AsyncLLM` ended, in a few words."""
    with suppress(AttributeError, IndexError, ValueError):
        code = engine.engine_core.resources.engine_manager.processes[0].exitcode
        if code is not None and code < 0:
            return f"its engine was killed by {signal.Signals(-code).name}"
        if code is not None:
            return f"its engine ended with exit code {code}"
    return "its engine failed"


def _is_shut_down(timeout: float | None = None) -> None:
    """Nothing is left to shut down."""
