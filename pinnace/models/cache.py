"""The weights cache: ready folders, each made once, whoever asks and however often.

A slot is a folder of the cache for one pinned source. It is filled beside its place and renamed into
it, under a lock that the operating system gives back when its holder dies, so a slot is either whole
or not there. Knows nothing of where weights come from.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinnace.errors import WeightsError

MANIFEST = "pinnace.json"
_WAIT_S = 3600.0
_log = logging.getLogger(__name__)


class Manifest(BaseModel):
    """What a ready folder says of itself in `pinnace.json`.

    `license` is as the source names it; `license_files` are relative to the folder, and so are the keys of
    `files`, whose values are sizes in bytes. `converted_with` maps packages to versions where the weights
    were converted, and is empty where they lie as they came.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    sha256: str | None = None
    license: str | None = None
    license_files: tuple[str, ...] = ()
    converted_with: dict[str, str] = Field(default_factory=dict[str, str])
    files: dict[str, int] = Field(default_factory=dict[str, int])
    format: Literal[1] = 1  # raise it when what a fill makes has changed: older slots are then made anew


Fill = Callable[[Path, Path], Manifest]
"""Puts a model into its first folder, using its second as scratch, and says what it put there."""


def default_cache() -> Path:
    """Where weights are kept: `$PINNACE_CACHE`, else `$XDG_CACHE_HOME/pinnace`, else `~/.cache/pinnace`."""
    if own := os.environ.get("PINNACE_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "pinnace"
    return Path.home() / ".cache" / "pinnace"


def read_manifest(folder: Path) -> Manifest | None:
    """What the ready folder says of itself; None where it is no ready folder of this version of Pinnace."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def is_ready(folder: Path) -> bool:
    """Whether `folder` holds every file that its manifest lists, each at its full size."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest.files.items() <= _sizes(folder).items()


def make_once(slot: Path, fill: Fill) -> Path:
    """The ready folder `slot/model`, filled first where it is not there yet.

    :param slot: its place in the cache; whatever broken thing lies there is replaced.
    :param fill: called at most once, in one process, with the folder to fill and a scratch folder.
    :raises WeightsError: when `fill` does, when the cache cannot be written, or after an hour of waiting.
    """
    ready = slot / "model"
    if is_ready(ready):
        return ready
    try:
        slot.parent.mkdir(parents=True, exist_ok=True)
        with _locked(slot):
            if not is_ready(ready):
                _make(slot, fill)
    except OSError as error:
        raise WeightsError(f"cannot make {slot}: {error}") from error
    return ready


def _make(slot: Path, fill: Fill) -> None:
    prefix = f".{slot.name}.tmp-"
    for leftover in slot.parent.glob(f"{prefix}*"):  # of a process that died: we hold the lock, so nobody's
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=slot.parent, ignore_cleanup_errors=True) as name:
        fresh, scratch = Path(name, "slot"), Path(name, "scratch")
        (fresh / "model").mkdir(parents=True)
        scratch.mkdir()
        _write_manifest(fresh / "model", fill(fresh / "model", scratch))
        if slot.exists():
            slot.rename(Path(name, "broken"))
        fresh.rename(slot)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    whole = manifest.model_copy(update={"files": _sizes(folder)})
    (folder / MANIFEST).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


@contextmanager
def _locked(slot: Path) -> Generator[None, None, None]:
    lock = FileLock(slot.parent / f".{slot.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("another process is making %s: waiting for it", slot.name)
        _wait(lock, slot)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, slot: Path) -> None:
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        raise WeightsError(f"{slot}: another process has been making it for {_WAIT_S:.0f} s") from None
