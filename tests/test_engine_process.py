"""The engine's process heeds no signal to stop, ends with its parent, and leaves no shared memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil

from pinnace.models.engine_process import ProcessExtension, how_it_ended, shut_down, sweep

ORPHAN = """
import multiprocessing, sys, time
from test_engine_process import live
if __name__ == "__main__":
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=live, args=(theirs,))
    child.start()
    ours.recv()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def live(pipe) -> None:
    """A process that stands apart, and does as it is told."""
    extension = ProcessExtension()
    extension.stand_apart(os.getppid())
    pipe.send("apart")
    if pipe.recv() == "heed":
        extension.heed_signals()
        pipe.send("heeding")
        time.sleep(60)


def test_signals_to_stop_are_heeded_only_when_we_say_so() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=live, args=(theirs,))
    child.start()
    assert ours.recv() == "apart"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(child.pid, number)
    ours.send("heed")
    assert ours.recv() == "heeding"
    child.terminate()
    child.join(10)
    assert child.exitcode == -signal.SIGTERM


def test_a_worker_whose_parent_is_not_us_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ProcessExtension().stand_apart(os.getppid() + 1)
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def eventually(question: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not question():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_a_killed_process_left_in_shared_memory_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = ["__KMP_REGISTERED_LIB_77_0", "sem.loky-77-abc"]
    others = ["__KMP_REGISTERED_LIB_771_0", "sem.loky-7-abc", "psm_77", "77"]
    for name in (*left, *others):
        (tmp_path / name).touch()
    sweep([77, 78], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_how_an_engine_ended_is_told_by_its_exit_code() -> None:
    def engine(code: int | None) -> SimpleNamespace:
        manager = SimpleNamespace(processes=[SimpleNamespace(exitcode=code)])
        return SimpleNamespace(engine_core=SimpleNamespace(resources=SimpleNamespace(engine_manager=manager)))

    assert how_it_ended(engine(-9)) == "its engine was killed by SIGKILL"
    assert how_it_ended(engine(1)) == "its engine ended with exit code 1"
    assert how_it_ended(engine(None)) == "its engine failed"
    assert how_it_ended(SimpleNamespace()) == "its engine failed"


class Engine:
    """What `shut_down` needs of an `AsyncLLM`."""

    def __init__(self, *, extension: str, errored: bool) -> None:
        self.calls: list[str] = []
        self.errored = errored
        self.output_handler = SimpleNamespace(cancel=lambda: self.calls.append("cancel"))
        self.vllm_config = SimpleNamespace(parallel_config=SimpleNamespace(worker_extension_cls=extension))

    async def collective_rpc(self, method: str) -> None:
        self.calls.append(method)

    def shutdown(self, timeout: float | None = None) -> None:
        self.calls.append("shutdown")


async def test_an_engine_heeds_signals_again_before_it_is_told_to_end() -> None:
    engine = Engine(extension="x", errored=False)
    await shut_down(engine)
    assert engine.calls == ["heed_signals", "cancel", "shutdown"]
    engine.shutdown()
    assert engine.calls[-1] == "shutdown"
    assert len(engine.calls) == 3


async def test_a_dead_engine_and_a_stock_one_are_asked_nothing() -> None:
    for engine in (Engine(extension="x", errored=True), Engine(extension="", errored=False)):
        await shut_down(engine)
        assert engine.calls == ["cancel", "shutdown"]
