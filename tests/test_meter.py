"""Meters: the kernel's files, counters that wrap around, and graphics cards."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pinnace.errors import MeterError
from pinnace.models.energy.meter import NvmlMeter, RaplMeter, open_meter

ZONES = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:2": "psys",
    "intel-rapl-mmio:0": "package-0",
}


def powercap(root: Path, counter: int = 0) -> Path:
    """Power zones as the kernel shows them."""
    for zone, name in ZONES.items():
        (root / zone).mkdir(parents=True)
        (root / zone / "name").write_text(f"{name}\n")
        (root / zone / "energy_uj").write_text(f"{counter}\n")
        (root / zone / "max_energy_range_uj").write_text("1000000\n")
    return root


def count(root: Path, **zones: int) -> None:
    for zone, value in zones.items():
        (root / f"intel-rapl:{zone.removeprefix('z').replace('_', ':')}" / "energy_uj").write_text(
            f"{value}\n"
        )


def test_packages_and_their_memory_are_counted_and_nothing_twice(tmp_path: Path) -> None:
    meter = RaplMeter(powercap(tmp_path / "rapl"))
    count(tmp_path / "rapl", z0=100_000, z0_0=70_000, z0_1=20_000, z1=3_000, z2=999_999)
    assert meter.read() == pytest.approx(0.123)


def test_a_counter_that_wraps_around_goes_on(tmp_path: Path) -> None:
    meter = RaplMeter(powercap(tmp_path / "rapl", counter=900_000))
    count(tmp_path / "rapl", z0=100_000)
    assert meter.read() == pytest.approx(0.2)
    count(tmp_path / "rapl", z0=150_000)
    assert meter.read() == pytest.approx(0.25)


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="expected power zones in"):
        RaplMeter(tmp_path)


@pytest.mark.parametrize(("text", "said"), [("lots", "expected a number"), (None, "No such file")])
def test_a_counter_that_cannot_be_read_says_so(tmp_path: Path, text: str | None, said: str) -> None:
    root = powercap(tmp_path / "rapl")
    meter = RaplMeter(root)
    (root / "intel-rapl:0" / "energy_uj").unlink()
    if text is not None:
        (root / "intel-rapl:0" / "energy_uj").write_text(text)
    with pytest.raises(MeterError, match=said):
        meter.read()


class NvmlError(Exception):
    """What NVML raises."""


def nvml(millijoules: list[int], cards: int = 2) -> SimpleNamespace:
    """NVML as far as the meter looks: `millijoules` are its readings in order."""

    def handle(index: int) -> int:
        if index >= cards:
            raise NvmlError("Invalid Argument")
        return index

    def energy(card: int) -> int:
        if not millijoules:
            raise NvmlError("Not Supported")
        return millijoules.pop(0)

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )


def test_a_graphics_card_counts_in_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml([5_000, 7_500]))
    meter = open_meter("nvml:1")
    assert (meter.name, meter.read()) == ("nvml:1", 7.5)


@pytest.mark.parametrize(("device", "said"), [(0, "Not Supported"), (9, "Invalid Argument")])
def test_a_graphics_card_that_does_not_count_says_so(
    monkeypatch: pytest.MonkeyPatch, device: int, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml([]))
    with pytest.raises(MeterError, match=f"nvml:{device}: {said}"):
        NvmlMeter(device)


def test_a_machine_counts_upwards_or_says_why_not() -> None:
    """With the library itself, on whatever machine runs this."""
    try:
        meter = open_meter("nvml")
    except MeterError as error:
        assert str(error).startswith("nvml:0: ")  # noqa: PT017 - which of both it is depends on the machine
    else:
        assert 0 < meter.read() <= meter.read()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterError, match=r"needs pinnace\[nvml\]"):
        open_meter("nvml")


def test_another_meter_is_refused() -> None:
    with pytest.raises(MeterError, match="expected rapl, nvml or nvml:NUMBER, got 'socket'"):
        open_meter("socket")
