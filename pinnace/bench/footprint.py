"""What a server holds, itself and its children: memory that is its own, and open files.

Read from `/proc`: memory without a file behind it, so that what the kernel caches does not count.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_OWN = ("RssAnon:", "RssShmem:")


@dataclass(frozen=True, slots=True)
class Footprint:
    """MiB of memory and open files, of the process asked for and of all its descendants together."""

    server_mib: float
    descendants_mib: float
    files: int


def footprint_of(pid: int) -> Footprint:
    """What the process `pid` and its descendants hold now; who ends meanwhile counts for nothing.

    :raises ProcessLookupError: when there is no such process.
    """
    own = _held(pid)
    if own is None:
        raise ProcessLookupError(f"no process {pid}")
    psutil: Any = importlib.import_module("psutil")
    family = psutil.Process(pid).children(recursive=True)
    others = [found for each in family if (found := _held(each.pid)) is not None]
    return Footprint(own[0], sum(mib for mib, _ in others), own[1] + sum(files for _, files in others))


def _held(pid: int) -> tuple[float, int] | None:
    folder = _PROC / str(pid)
    try:
        lines = [line.split() for line in (folder / "status").read_text(encoding="ascii").splitlines()]
        files = len(list((folder / "fd").iterdir()))
    except OSError:
        return None
    return sum(int(words[1]) for words in lines if words and words[0] in _OWN) / 1024, files
