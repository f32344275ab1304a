"""The environment in which vLLM's CPU engine runs fastest on this machine.

Two settings, worth 1.5x together (docs/log.md): compute threads bound to every physical core that we
may use, where vLLM's own choice leaves one for its front end, and Intel's OpenMP in place of GNU's.
Both must be in the environment before the engine's processes are spawned. What the user has set stays.
"""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

BIND = "VLLM_CPU_OMP_THREADS_BIND"
PRELOAD = "LD_PRELOAD"
_TOPOLOGY = Path("/sys/devices/system/cpu")


def cpu_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to `environ` before a CPU engine starts; empty where nothing is to be gained."""
    settings: dict[str, str] = {}
    if BIND not in environ:
        settings[BIND] = ",".join(str(cpu) for cpu in physical_cores(os.sched_getaffinity(0)))
    openmp = intel_openmp(Path(sys.prefix))
    preloaded = environ.get(PRELOAD, "")
    if openmp is not None and "omp" not in preloaded:
        settings[PRELOAD] = ":".join(filter(None, (preloaded, str(openmp))))
    return settings


def physical_cores(cpus: Iterable[int], topology: Path = _TOPOLOGY) -> list[int]:
    """The lowest CPU of each physical core among `cpus`; all of them where the topology is not readable."""
    allowed = sorted(cpus)
    first_of: dict[str, int] = {}
    for cpu in allowed:
        siblings = topology / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        try:
            core = siblings.read_text(encoding="ascii").strip()
        except OSError:
            return allowed
        first_of.setdefault(core, cpu)
    return sorted(first_of.values())


def intel_openmp(prefix: Path) -> Path | None:
    """Intel's OpenMP as pip lays it down under `prefix`, on x86-64 only.

    The loader splits its list at blanks and colons, so a path that has one cannot be preloaded.
    """
    library = prefix / "lib" / "libiomp5.so"
    can_preload = platform.machine() == "x86_64" and not set(str(library)) & set(" :")
    return library if can_preload and library.exists() else None
