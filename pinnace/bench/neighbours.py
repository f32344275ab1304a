"""What else the machine does while a side is measured: a busy neighbour makes a run worth little."""

import importlib
import os
import time
from pathlib import Path
from typing import Any

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Where `/proc/stat` counts idle time and waiting for disks; time stolen by other machines counts as busy."""


class Neighbours:
    """Counts, from when it is made, the CPU time that neither this process nor its descendants used."""

    def __init__(self) -> None:
        self._busy, self._own, self._at = busy_seconds(), own_seconds(), time.perf_counter()

    def cores(self) -> float | None:
        """Cores that others kept busy on average; None where the system does not tell."""
        busy = busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (own_seconds() - self._own)
        return round(max(others / (time.perf_counter() - self._at), 0.0), 2)


def busy_seconds(stat: Path = _STAT) -> float | None:
    """CPU time that the machine has spent on anything, all cores together."""
    try:
        ticks = [int(field) for field in stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    idle = sum(ticks[place] for place in _IDLE)
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """CPU time of this process and of its descendants that live."""
    psutil: Any = importlib.import_module("psutil")
    spent = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent
