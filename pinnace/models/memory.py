"""Whether one more local engine fits into this machine's memory beside what runs.

Only where the engine computes on the processor: a GPU's engine sees for itself that its memory is full, while
Linux would let this one start and kill it, or us, later.
"""

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path

from pinnace.config import VllmMember
from pinnace.models.shapes.tensor_file import read_tensors
from pinnace.models.weights import default_cache, resolve_weights

MIB = 2**20
OVERHEAD_MIB = 1000
"""What an engine takes beside its weights and KV cache: measured, benchmarks/two_engines.py."""
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


async def why_no_room(members: Sequence[tuple[VllmMember, int]]) -> str | None:
    """Why the engines of `members` cannot start beside what runs; None where they can, or nobody knows.

    :param members: each with how many adapters it is to hold at once.
    :raises WeightsError: when no source of the weights can be had.
    """
    if not members or not await asyncio.to_thread(_is_on_cpu):
        return None
    needed = 0
    for member, slots in members:
        weights = await asyncio.to_thread(resolve_weights, member.weights, cache=default_cache())
        needed += needed_mib(weights.folder, member.engine.kv_cache_mib)
        if slots:
            needed += slots * slot_mib(weights.folder, member.engine.max_lora_rank)
    free = free_mib()
    if free is None or needed <= free:
        return None
    return f"takes about {needed} MiB beside what runs, and {free} MiB are free"


def needed_mib(folder: Path, kv_cache_mib: int) -> int:
    """MiB that an engine on the weights in `folder` takes."""
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return weights // MIB + kv_cache_mib + OVERHEAD_MIB


def slot_mib(folder: Path, rank: int) -> int:
    """MiB that an engine on the weights in `folder` sets aside for one adapter, rounded up: both factors of
    every linear layer, in 16 bits.

    :raises WeightsError: when the weights are not readable.
    """
    linear = [t.shape for name, t in read_tensors(folder).items() if ".layers." in name and len(t.shape) == 2]
    return -(-2 * rank * sum(map(sum, linear)) // MIB)


def free_mib(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """MiB that may still be taken: of the machine, and of our control group; None where neither is told."""
    lines = [line.split() for line in _lines(meminfo) if line.startswith("MemAvailable:")]
    found = [int(words[1]) // 1024 for words in lines]
    limit, used = _lines(cgroup / "memory.max"), _lines(cgroup / "memory.current")
    if limit and used and limit[0].isdigit():
        found.append((int(limit[0]) - int(used[0])) // MIB)
    return min(found, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _is_on_cpu() -> bool:
    return bool(importlib.import_module("vllm.platforms").current_platform.is_cpu())
