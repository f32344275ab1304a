"""Meters of energy that this machine has: RAPL of its processors, NVML of its graphics cards.

A meter counts joules upwards from some moment. RAPL is read from the kernel's powercap files (readable by
root alone on most machines), NVML through `nvidia-ml-py`, which the extra `nvml` brings. Knows nothing of
requests.
"""

import importlib
import re
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pinnace.errors import MeterError

POWERCAP = Path("/sys/class/powercap")
_ZONE = re.compile(r"intel-rapl:[0-9]+(:[0-9]+)?")


class Meter(Protocol):
    """Counts joules. `read` never goes down."""

    name: str

    def read(self) -> float:
        """Joules since some moment.

        :raises MeterError: when it cannot be read any more.
        """
        ...


class RaplMeter:
    """The energy of all processor packages and their memory, by the kernel's counters, which wrap around.

    :param root: where the kernel shows its power zones.
    :raises MeterError: when there are none, or they may not be read.
    """

    name = "rapl"

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones = [_Zone(folder) for folder in sorted(root.glob("intel-rapl:*")) if _counts(folder)]
        if not self._zones:
            raise MeterError(f"rapl: expected power zones in {root}, found none")

    def read(self) -> float:
        """Joules since this object was made."""
        return sum(zone.read() for zone in self._zones)


class _Zone:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range = _number(folder / "max_energy_range_uj")
        self._last = _number(self._file)
        self._sum = 0

    def read(self) -> float:
        now = _number(self._file)
        self._sum += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._sum / 1e6


def _counts(folder: Path) -> bool:
    """Whether a zone is a package, or memory beside one: `psys` and the parts of a package are in others."""
    if _ZONE.fullmatch(folder.name) is None:
        return False
    try:
        name = (folder / "name").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return name.startswith("package-") or name == "dram"


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except OSError as error:
        raise MeterError(f"rapl: {path}: {error.strerror}") from None
    except ValueError:
        raise MeterError(f"rapl: {path}: expected a number") from None


class NvmlMeter:
    """The energy of one graphics card since its driver was loaded; cards from Volta on count it.

    :param device: the card's number, as NVML counts.
    :raises MeterError: when there is no such card, or it does not count.
    """

    def __init__(self, device: int = 0) -> None:
        self.name = f"nvml:{device}"
        try:
            self._nvml: Any = importlib.import_module("pynvml")
        except ImportError as error:
            raise MeterError(f"nvml: needs pinnace[nvml]: {error}") from error
        try:
            self._nvml.nvmlInit()
            self._card = self._nvml.nvmlDeviceGetHandleByIndex(device)
        except self._nvml.NVMLError as error:
            raise MeterError(f"{self.name}: {error}") from error
        self.read()

    def read(self) -> float:
        """Joules since the driver was loaded."""
        try:
            return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card) / 1000
        except self._nvml.NVMLError as error:
            raise MeterError(f"{self.name}: {error}") from error


def open_meter(name: str) -> Meter:
    """The meter that `name` means: `rapl`, `nvml` or `nvml:NUMBER`.

    :raises MeterError: when it cannot be read on this machine.
    """
    kind, _, number = name.partition(":")
    makers = {"rapl": RaplMeter, "nvml": partial(NvmlMeter, int(number) if number.isdecimal() else 0)}
    if kind not in makers:
        raise MeterError(f"expected rapl, nvml or nvml:NUMBER, got {name!r}")
    return makers[kind]()
