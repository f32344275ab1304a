"""CPU settings: one thread per physical core, Intel's OpenMP where it lies, and the user's wishes first."""

import os
import sys
from pathlib import Path

import pytest

from pinnace.models import cpu_settings as module
from pinnace.models.cpu_settings import (
    BIND,
    HUGE_PAGES,
    IN_ENGINE_PROCESS,
    KERNELS,
    MALLOC,
    MOST_KERNELS,
    PRELOAD,
    SPLIT,
    THREADS,
    bound_kernels,
    cpu_settings,
    executor,
    in_environment,
    intel_openmp,
    physical_cores,
)


def topology(folder: Path, *siblings: str) -> Path:
    """A `/sys/devices/system/cpu` in which CPU i has the i-th list of siblings."""
    for cpu, text in enumerate(siblings):
        (folder / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (folder / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(text + "\n")
    return folder


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment on x86-64 with Intel's OpenMP in it, and four CPUs that we may use."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5.so").touch()
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("siblings", "allowed", "expected"),
    [
        (("0", "1"), {0, 1}, [0, 1]),
        (("0,2", "1,3", "0,2", "1,3"), {0, 1, 2, 3}, [0, 1]),
        (("0-1", "0-1", "2-3", "2-3"), {0, 1, 2, 3}, [0, 2]),
        (("0,2", "1,3", "0,2", "1,3"), {2, 3}, [2, 3]),
        (("0-1", "0-1", "2-3", "2-3"), {1, 2, 3}, [1, 2]),
    ],
    ids=["no threads", "far siblings", "near siblings", "second threads only", "a part of the machine"],
)
def test_the_lowest_cpu_of_each_core_is_taken(
    tmp_path: Path, siblings: tuple[str, ...], allowed: set[int], expected: list[int]
) -> None:
    assert physical_cores(allowed, topology(tmp_path, *siblings)) == expected


def test_without_a_topology_all_are_taken(tmp_path: Path) -> None:
    assert physical_cores({3, 1}, tmp_path) == [1, 3]
    assert physical_cores({0, 1, 2}, topology(tmp_path, "0-1", "0-1")) == [0, 1, 2]


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "physical_cores", lambda cpus: sorted(cpus)[:2])


ALWAYS = {MALLOC: HUGE_PAGES, KERNELS: MOST_KERNELS, SPLIT: "0"}
INTEL = {"KMP_AFFINITY": "granularity=fine,explicit,proclist=[0,1]", "KMP_BLOCKTIME": "5", "KMP_TPAUSE": "0"}


@pytest.mark.usefixtures("two_cores")
def test_threads_are_bound_and_intels_openmp_comes_first(prefix: Path) -> None:
    assert cpu_settings({}) == {PRELOAD: f"{prefix}/lib/libiomp5.so", THREADS: "2", **INTEL, **ALWAYS}


@pytest.mark.usefixtures("two_cores")
def test_another_openmp_is_bound_in_openmps_own_way(prefix: Path) -> None:
    settings = cpu_settings({PRELOAD: "/opt/libgomp.so"})
    assert settings == {THREADS: "2", "OMP_PLACES": "{0},{1}", "OMP_PROC_BIND": "true", **ALWAYS}


def test_our_own_process_is_bounded_too_unless_the_user_has_done_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KERNELS, "7")
    bound_kernels()
    assert os.environ[KERNELS] == "7"
    monkeypatch.delenv(KERNELS)
    bound_kernels()
    assert os.environ[KERNELS] == MOST_KERNELS


def test_what_the_user_has_set_stays(prefix: Path) -> None:
    own = {PRELOAD: "/opt/libgomp.so", MALLOC: "glibc.malloc.check=1", KERNELS: "8", SPLIT: "1"}
    assert cpu_settings({BIND: "0-3", **own}) == {}
    assert THREADS not in cpu_settings({THREADS: "1"})
    assert "KMP_AFFINITY" not in cpu_settings({"KMP_AFFINITY": "none"})


def test_vllms_own_binding_needs_vllms_own_executor() -> None:
    assert executor({BIND: "0-3"}) is None
    assert executor({}) == IN_ENGINE_PROCESS


def test_the_environment_is_as_it_was_when_the_engine_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNACE_KEPT", "before")
    monkeypatch.delenv("PINNACE_NEW", raising=False)
    with in_environment({"PINNACE_KEPT": "x", "PINNACE_NEW": "y"}):
        assert (os.environ["PINNACE_KEPT"], os.environ["PINNACE_NEW"]) == ("x", "y")
    assert os.environ["PINNACE_KEPT"] == "before"
    assert "PINNACE_NEW" not in os.environ


def test_another_preloaded_library_comes_first(prefix: Path) -> None:
    settings = cpu_settings({BIND: "0", PRELOAD: "/opt/libtcmalloc.so"})
    assert settings == {PRELOAD: f"/opt/libtcmalloc.so:{prefix}/lib/libiomp5.so", **ALWAYS}


def test_settings_that_are_made_are_not_made_again(prefix: Path) -> None:
    settings = cpu_settings({})
    assert cpu_settings(settings) == {}


def test_intels_openmp_is_for_x86_and_must_be_there(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert intel_openmp(prefix) == prefix / "lib" / "libiomp5.so"
    assert intel_openmp(tmp_path / "elsewhere") is None
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    assert intel_openmp(prefix) is None


@pytest.mark.parametrize("name", ["my venv", "a:b"])
def test_a_path_that_the_loader_would_split_is_not_preloaded(prefix: Path, name: str) -> None:
    folder = prefix / name / "lib"
    folder.mkdir(parents=True)
    (folder / "libiomp5.so").touch()
    assert intel_openmp(prefix / name) is None


def test_on_this_machine_there_is_at_least_one_core() -> None:
    assert set(physical_cores(os.sched_getaffinity(0))) <= os.sched_getaffinity(0)
    assert physical_cores(os.sched_getaffinity(0))
