"""The box that code of a model runs in: a Python of its own with limits, for seconds, then gone.

CPU time, memory, processes, open files and the size of files are bounded; it runs in a temporary folder, with
an empty environment and nothing to import but the standard library (`python -I -S`), its output is thrown
away, and its whole process group is killed when time is over. `containment` says what the kernel adds to
that: no writes outside the folder, no network. Not contained: reading files that the user may read (as root:
that anyone may read) and what `containment` denies. This is for benchmarks, not for enemies.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

CHILD = Path(__file__).with_name("code_child.py")
CPU_S, WALL_S = 5, 15.0
MEMORY_BYTES, FILE_BYTES = 1 << 30, 1 << 20
LONGEST = 200_000
"""Characters of a program; longer ones fail."""
NOBODY = 65534


def passes(program: str, *, cpu_s: int = CPU_S, wall_s: float = WALL_S) -> bool:
    """Whether a program runs to its end without an error, within the limits.

    :param cpu_s: seconds of computing, `wall_s` seconds of waiting.
    """
    if len(program) > LONGEST:
        return False
    token = secrets.token_hex(16)
    ending = f"\nimport sys as _sys\n_sys.__stdout__.write({token!r})\n_sys.__stdout__.flush()\n"
    with tempfile.TemporaryDirectory(prefix="pinnace-code-") as name, tempfile.TemporaryFile() as said:
        folder = Path(name)
        (folder / "program.py").write_text(program + ending, encoding="utf-8", errors="replace")
        _give_away(folder)
        bounds = (str(cpu_s), str(MEMORY_BYTES), str(FILE_BYTES))
        code = _run(["program.py", name, *bounds], folder, said.fileno(), wall_s)
        said.seek(max(0, said.seek(0, os.SEEK_END) - len(token)))
        return code == 0 and said.read().decode("ascii", "replace") == token


@cache
def containment() -> Mapping[str, bool]:
    """What of the box holds here: no `network`, no `tcp`, no `writes` outside, no further `processes`."""
    with tempfile.TemporaryDirectory(prefix="pinnace-code-") as name, tempfile.TemporaryFile() as said:
        _give_away(Path(name))
        _run(["-", name], Path(name), said.fileno(), WALL_S)
        said.seek(0)
        return json.loads(said.read() or b"{}")


def _run(arguments: Sequence[str], folder: Path, out: int, wall_s: float) -> int | None:
    """Run the child and kill its group; its exit code, or None where time was over."""
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", str(CHILD), *arguments],
        cwd=folder,
        env={"HOME": str(folder), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return child.wait(wall_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _give_away(folder: Path) -> None:
    """The folder belongs to whom the child becomes."""
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
