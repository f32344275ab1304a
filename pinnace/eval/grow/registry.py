"""The registry of grown things: generations in a folder, one of which is current, and the way back.

A generation is written beside its place and renamed; what makes it the current one is a single file, replaced
last. So a crash in the middle leaves the former one whole, and undoing is naming the one before. What no
generation needs any more goes afterwards. `pinnace.config.grown` reads what is written here.
"""

import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pinnace.config import AdapterMember
from pinnace.config.grown import (
    CURRENT,
    GENERATION,
    STATE,
    Current,
    Generation,
    current_generation,
    generation_folder,
    read_generation,
)
from pinnace.errors import ConfigError
from pinnace.eval.grow.candidates import with_bar
from pinnace.eval.grow.decision import Bar
from pinnace.eval.grow.outcome import GrownDomain
from pinnace.eval.grow.setting import Setting
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import write_table
from pinnace.models.adapters.intake import digest_of
from pinnace.router.state import RouterState, save_state

ADAPTERS, RECORD = "adapters", "record.json"


@dataclass(frozen=True, slots=True)
class Undone:
    """The generation that was taken back, the specialists that went and came back with it, and what is
    current now: None where nothing grown is left."""

    generation: str
    gone: tuple[str, ...]
    back: tuple[str, ...]
    now: str | None


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Keep every other growth out of a grown folder.

    :raises ConfigError: when one is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"{folder}: another 'pinnace grow' is at work there") from None
    try:
        yield
    finally:
        lock.release()


def place_adapter(folder: Path, name: str, source: Path) -> str:
    """Copy a trained adapter into the grown folder; its path there, named by its content."""
    place = Path(ADAPTERS) / f"{name}-{digest_of(source)[:12]}"
    target = folder / place
    if not target.exists():
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(source, beside)
        beside.replace(target)
    return str(place)


def grown_members(
    setting: Setting, earned: Sequence[GrownDomain], bars: Mapping[str, Bar | None], work: Path
) -> list[AdapterMember]:
    """The grown specialists from now on: those that there were, with the bars of the new state, and those
    earned.

    :param bars: of each specialist; one without a bar of its own keeps the one that it had.
    :param work: where the new adapters lie, each under its name.
    """
    names = {each.plan.name for each in earned}
    kept = [member for member in setting.grown if member.name not in names]
    new = [
        AdapterMember(
            name=each.plan.name,
            backend="vllm",
            base=setting.base.name,
            adapter=place_adapter(setting.folder, each.plan.name, work / each.plan.name),
        )
        for each in earned
    ]
    return [with_bar(member, bars) for member in (*kept, *new)]


def register(
    folder: Path,
    members: Sequence[AdapterMember],
    state: RouterState,
    table: OutcomeTable,
    record: Mapping[str, Any],
) -> str:
    """Make a new generation the current one; returns its name.

    :param members: all grown specialists, their adapters inside `folder` (`place_adapter`).
    :param record: what is to be told of it.
    """
    before = current_generation(folder)
    name = _next_name(folder)
    target = generation_folder(folder, name)
    beside = target.with_name(f".{name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_state(state, beside / STATE, table=partial(write_table, table))
    told = Generation(before=before, members=tuple(members))
    (beside / GENERATION).write_text(
        told.model_dump_json(indent=1, exclude_unset=True) + "\n", encoding="utf-8"
    )
    (beside / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(target)
    _point_to(folder, name)
    sweep(folder)
    return name


def undo(folder: Path) -> Undone:
    """Go back to the generation before the current one.

    :raises ConfigError: when nothing grown is current.
    """
    name = current_generation(folder)
    if name is None:
        raise ConfigError(f"{folder}: nothing grown is in use, so there is nothing to undo")
    found = read_generation(folder, name)
    before = read_generation(folder, found.before).members if found.before else ()
    _point_to(folder, found.before)
    sweep(folder)
    return Undone(name, _missing(found.members, before), _missing(before, found.members), found.before)


def sweep(folder: Path) -> None:
    """Delete generations that no undoing comes to, and adapters that none of the others has."""
    kept: set[str] = set()
    adapters: set[str] = set()
    name = current_generation(folder)
    while name is not None and name not in kept:
        kept.add(name)
        found = read_generation(folder, name)
        adapters |= {Path(member.adapter).name for member in found.members}
        name = found.before
    for place, names in (("generations", kept), (ADAPTERS, adapters)):
        for entry in sorted((folder / place).glob("*")) if (folder / place).is_dir() else ():
            if entry.name not in names:
                shutil.rmtree(entry, ignore_errors=True)


def _missing(ours: Sequence[AdapterMember], theirs: Sequence[AdapterMember]) -> tuple[str, ...]:
    """Those of `ours` that are not just so among `theirs`."""
    return tuple(member.name for member in ours if member not in theirs)


def _next_name(folder: Path) -> str:
    found = [entry.name for entry in (folder / "generations").glob("[0-9]*")]
    return f"{max(map(int, found), default=0) + 1:04d}"


def _point_to(folder: Path, name: str | None) -> None:
    """Make a generation the current one, at once; None: none."""
    path = folder / CURRENT
    if name is None:
        path.unlink(missing_ok=True)
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(Current(generation=name).model_dump_json() + "\n", encoding="utf-8")
    beside.replace(path)
