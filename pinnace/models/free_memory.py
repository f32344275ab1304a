"""Free memory goes back to the system from time to time.

glibc keeps what was freed between what is in use: under a mixed load an engine and its server grow by a
twentieth every ten minutes, though nothing leaks (docs/log.md). Where the C library is another, nothing is
done. Knows nothing of who uses the memory.
"""

import ctypes
import threading
from collections.abc import Generator
from contextlib import contextmanager

EVERY_S = 60.0


def give_back() -> bool:
    """Give back all whole pages that are free; whether there were any."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    return bool(trim(0))


def keep_giving_back(until: threading.Event | None = None, every_s: float = EVERY_S) -> threading.Thread:
    """Start a thread that gives back every `every_s`, until the event is set or the process ends."""
    thread = threading.Thread(
        target=_work, args=(until or threading.Event(), every_s), name="memory", daemon=True
    )
    thread.start()
    return thread


@contextmanager
def giving_back(every_s: float = EVERY_S) -> Generator[None, None, None]:
    """Give back every `every_s` during the block."""
    until = threading.Event()
    thread = keep_giving_back(until, every_s)
    try:
        yield
    finally:
        until.set()
        thread.join()


def _work(until: threading.Event, every_s: float) -> None:
    while not until.wait(every_s):
        give_back()
