"""Free memory: what lies free between what is used goes back, by itself, until told to stop."""

import subprocess
import sys
import threading
import time

import pytest

from pinnace.models import free_memory
from pinnace.models.free_memory import give_back, giving_back

FRAGMENTED = """
import ctypes, os
from pinnace.bench.footprint import footprint_of
from pinnace.models.free_memory import give_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
held = [libc.malloc(60_000) for _ in range(2_000)]
for place in held:
    ctypes.memset(place, 1, 60_000)
for place in held[:-1]:
    libc.free(place)
before = footprint_of(os.getpid()).server_mib
print(give_back(), before - footprint_of(os.getpid()).server_mib)
"""


def test_what_lies_free_below_what_is_used_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, timeout=60, check=True
    )
    had_any, mib = done.stdout.split()
    assert had_any == "True"
    assert float(mib) > 80


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory.ctypes, "CDLL", lambda name: object())
    assert give_back() is False


def test_it_goes_on_by_itself_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr(free_memory, "give_back", lambda: given.append(time.monotonic()))
    with giving_back(0.01):
        deadline = time.monotonic() + 10
        while len(given) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(given) >= 3
    seen = len(given)
    time.sleep(0.05)
    assert len(given) == seen
    assert all(thread.name != "memory" for thread in threading.enumerate())
