"""How vLLM's CPU engine runs fastest on this machine: its environment, and the process it computes in.

Worth 1.5x together (docs/log.md): compute threads bound to every physical core that we may use, where
vLLM's own choice leaves one for its front end; Intel's OpenMP in place of GNU's; and the model in the
engine's own process, where vLLM would put it in one more and wait for it busily, on a core that the
compute threads need. One setting is not for speed: attention is not split, so that an answer does not hang on
what else is in its batch. What the user has set stays.
"""

import os
import platform
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

BIND = "VLLM_CPU_OMP_THREADS_BIND"
PRELOAD = "LD_PRELOAD"
THREADS = "OMP_NUM_THREADS"
MALLOC = "GLIBC_TUNABLES"
KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
SPLIT = "VLLM_CPU_ATTN_SPLIT_KV"
"""Whether a long context is split among threads, and the parts summed: by what else is in the batch."""
SETTINGS = (
    *(BIND, PRELOAD, THREADS, MALLOC, KERNELS, SPLIT),
    *("OMP_PLACES", "OMP_PROC_BIND", "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_TPAUSE"),
)
"""Every variable that is set here, and vLLM's own for the same."""
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Has glibc ask for huge pages where the kernel gives them to who asks: every step reads all weights once,
and 4 kB pages make that a tenth slower."""
MOST_KERNELS = "128"
"""oneDNN compiles each product anew for every number of rows, and keeps 1,024 of them, of 0.75 MB each: steps
of ever new lengths would take a gigabyte (docs/log.md). These are the four products of the 32 lengths that
vLLM keeps for each layer."""
IN_ENGINE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
_TOPOLOGY = Path("/sys/devices/system/cpu")


def cpu_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to `environ` while the processes of a CPU engine are started.

    Nothing but Intel's OpenMP, what bounds memory and what keeps answers steady where the user has bound the
    threads in vLLM's way.
    """
    always = {MALLOC: HUGE_PAGES, KERNELS: MOST_KERNELS, SPLIT: "0"}
    settings = {name: value for name, value in always.items() if name not in environ}
    preloaded = environ.get(PRELOAD, "")
    openmp = intel_openmp(Path(sys.prefix))
    if openmp is not None and "omp" not in preloaded:
        settings[PRELOAD] = preloaded = ":".join(filter(None, (preloaded, str(openmp))))
    if BIND not in environ:
        cores = physical_cores(os.sched_getaffinity(0))
        bound = {THREADS: str(len(cores)), **_binding(cores, is_intel="libiomp" in preloaded)}
        settings |= {name: value for name, value in bound.items() if name not in environ}
    return settings


def executor(environ: Mapping[str, str]) -> str | None:
    """Which executor a CPU engine is to have; None leaves it to vLLM, whose binding the user has chosen."""
    return None if BIND in environ else IN_ENGINE_PROCESS


def bound_kernels() -> None:
    """Have oneDNN keep no more in this process either; before it computes anything."""
    os.environ.setdefault(KERNELS, MOST_KERNELS)


@contextmanager
def in_environment(settings: Mapping[str, str]) -> Generator[None, None, None]:
    """Start processes during the block with `settings` in their environment; afterwards ours is as it was."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _binding(cores: Iterable[int], *, is_intel: bool) -> dict[str, str]:
    """One thread to each core. Intel's threads sleep 5 ms after their last work, as vLLM sets it."""
    if is_intel:
        listed = ",".join(map(str, cores))
        affinity = f"granularity=fine,explicit,proclist=[{listed}]"
        return {"KMP_AFFINITY": affinity, "KMP_BLOCKTIME": "5", "KMP_TPAUSE": "0"}
    return {"OMP_PLACES": ",".join(f"{{{core}}}" for core in cores), "OMP_PROC_BIND": "true"}


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
