"""Writes requirements/cpu.lock and requirements/gpu.lock anew: each package, each version, as pip has it.

For whoever changes the dependencies in pyproject.toml: `make lock`, with Python 3.11 and an index that has
torch for CPU. pip reads metadata only: about a minute and 100 MB for both. tools/setup.py installs the locks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
# vllm names these for Python 3.12 and later only; always there, they let one lock serve 3.11 to 3.14.
FOR_NEWER_PYTHON = ["six>=1.16", "setuptools>=78.1.1,<81"]
# What hatchling needs to install pinnace itself in editable form.
EDITABLE = ["editables>=0.5"]
# Built for CUDA, and beside torch for CPU they break the import of many models.
NOT_IN_CPU = {"torchaudio", "torchcodec", "torchvision"}


def main() -> int:
    """Write the locks named as arguments, or both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = fresh_pip(folder)
        for extra in sys.argv[1:] or ["cpu", "gpu"]:
            versions = resolve(pip, extra, folder)
            (LOCKS / f"{extra}.lock").write_text(lock_text(versions, extra), encoding="utf-8")
            print(f"lock: wrote requirements/{extra}.lock")
    return 0


def fresh_pip(folder: Path) -> list[str]:
    """Return the command of a current pip in a virtual environment of its own."""
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/python"), "-I", "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)  # noqa: S603
    return pip


def resolve(pip: list[str], extra: str, folder: Path) -> dict[str, str]:
    """Return what pip would install for `extra` and dev; fast-deps spares it the whole wheels."""
    report = folder / f"{extra}.json"
    options = ["--dry-run", "--ignore-installed", "--use-feature=fast-deps", "--report", str(report)]
    wanted = [f"{ROOT}[{extra},dev]", *FOR_NEWER_PYTHON, *EDITABLE, *build_requires()]
    subprocess.run([*pip, "install", *options, *constraint(extra, folder), *wanted], check=True)  # noqa: S603
    return resolved_versions(json.loads(report.read_text(encoding="utf-8")))


def build_requires() -> list[str]:
    """Return what pyproject.toml needs to build with, so that a set-up need not ask an index for it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]


def constraint(extra: str, folder: Path) -> list[str]:
    """Return the option that keeps cpu.lock's torch out of the GPU lock: for pip, 2.13.0+cpu tops 2.13.0."""
    if extra == "cpu":
        return []
    cpu_torch = re.search(r"^torch==(.*)$", (LOCKS / "cpu.lock").read_text(encoding="utf-8"), re.MULTILINE)
    file = folder / "constraint.txt"
    file.write_text(f"torch!={cpu_torch[1]}\n" if cpu_torch else "", encoding="utf-8")
    return ["--constraint", str(file)]


def resolved_versions(report: dict[str, Any]) -> dict[str, str]:
    """Return the version of each package in pip's report, by the name that indexes use."""
    found = [item["metadata"] for item in report["install"]]
    return {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in found}


def lock_text(versions: dict[str, str], extra: str) -> str:
    """Return the lock: a heading, then one sorted line per package, without Pinnace and what does harm."""
    heading = f"# Written by `make lock` from [{extra}, dev]: Linux, x86_64, Python 3.11 to 3.14"
    dropped = {"pinnace"} | (NOT_IN_CPU if extra == "cpu" else set[str]())
    lines = [pin(name, versions[name], extra) for name in sorted(versions.keys() - dropped)]
    return "\n".join([heading, *lines, ""])


def pin(name: str, version: str, extra: str) -> str:
    """Return one line; for the GPU's torch with ===, since == would let 2.13.0+cpu pass for 2.13.0."""
    return f"{name}{'===' if (name, extra) == ('torch', 'gpu') else '=='}{version}"


if __name__ == "__main__":
    sys.exit(main())
