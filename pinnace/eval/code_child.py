"""Runs one program within limits that it cannot lift; a script that stands alone, started by `code_box`.

`python -I code_child.py PROGRAM FOLDER CPU_S MEMORY_BYTES FILE_BYTES`: limits CPU time, memory, size of
files, open files and processes; with Landlock (Linux 5.13) writes go to FOLDER alone, and from Linux 6.7 on
there is no TCP; a network namespace of its own where the kernel gives one, which is no network at all; as
root it becomes nobody first. With `-` for PROGRAM it runs nothing and prints what of that it could have.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import sys

NOBODY = 65534
NETWORK, USERS = 0x40000000, 0x10000000
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
WRITES = sum(1 << bit for bit in (1, *range(4, 13)))
"""Landlock's rights to write, remove and make whatever a folder can hold."""
TRUNCATE, TCP, OUTWARD_SIGNALS = 1 << 14, 0b11, 0b11
LIKELY = """
array bisect cmath collections copy datetime decimal fractions functools hashlib heapq itertools json math
operator random re statistics string sys time typing
"""
"""What programs import: read before nobody may be unable to."""


def contain(folder: str) -> dict[str, bool]:
    """Take from this process whatever can be taken; what that was."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    is_alone = libc.unshare(NETWORK) == 0
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    is_bounded = os.geteuid() != 0  # root may have as many processes as it likes
    is_alone = is_alone or libc.unshare(USERS | NETWORK) == 0
    writes, tcp = _landlock(libc, folder)
    return {"network": is_alone, "tcp": is_alone or tcp, "writes": writes, "processes": is_bounded}


def _landlock(libc: ctypes.CDLL, folder: str) -> tuple[bool, bool]:
    """Forbid writes outside `folder`, and TCP; whether each was possible."""
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False, False
    rights = WRITES | (1 << 13 if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    fields = [rights, TCP if version >= 4 else 0, OUTWARD_SIGNALS if version >= 6 else 0]
    known = fields[: 1 if version < 4 else 2 if version < 6 else 3]
    ruleset = libc.syscall(CREATE_RULESET, (ctypes.c_uint64 * len(known))(*known), 8 * len(known), 0)
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
    is_held = (
        libc.syscall(ADD_RULE, ruleset, 1, rule, 0) == 0 and libc.syscall(RESTRICT_SELF, ruleset, 0) == 0
    )
    os.close(place)
    os.close(ruleset)
    return is_held, is_held and version >= 4


def limit(cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """Lower the limits of this process for good."""
    bounds = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in bounds.items():
        resource.setrlimit(which, (most, most))


def main() -> None:
    """Limit this process, then be the program."""
    program, folder, *bounds = sys.argv[1:]
    for name in LIKELY.split():
        importlib.import_module(name)
    if program == "-":
        print(json.dumps(contain(folder)))
        return
    with open(program, encoding="utf-8") as file:
        source = file.read()
    contain(folder)
    limit(*map(int, bounds))
    sys.argv[:] = [program]
    exec(compile(source, program, "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    main()
