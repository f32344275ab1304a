"""What `pinnace grow` has added: specialists beside those of `router.yaml`, and the state that knows them.

A folder of generations, one of which is current: a file that is replaced as a whole names it, so that there
is never half of one. `router.yaml` itself is never written. Knows nothing of how specialists come about.
"""

import re
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from pinnace.config.adapter import AdapterMember, check_bases, from_folder
from pinnace.config.complaint import complaint_of
from pinnace.config.config import Config
from pinnace.config.section import Section
from pinnace.errors import ConfigError

CURRENT, GENERATION, STATE = "current.json", "generation.json", "state"
MAX_BYTES = 1_000_000
_NAME = re.compile(r"[0-9]{4,9}")
S = TypeVar("S", bound=Section)


class Current(Section):
    """Which generation is served."""

    generation: str = Field(pattern=_NAME.pattern)


class Generation(Section):
    """The grown specialists of one generation, and the one before it: None where there was none.

    The adapter of each member is a folder inside the grown folder.
    """

    before: str | None = Field(default=None, pattern=_NAME.pattern)
    members: tuple[AdapterMember, ...] = ()


def grown_folder(config: Config) -> Path:
    """Where grown things lie: beside the ledger where the configuration says nothing else."""
    return config.router.grown or config.ledger.path.parent / "grown"


def generation_folder(folder: Path, name: str) -> Path:
    """Where one generation lies in a grown folder."""
    return folder / "generations" / name


def current_generation(folder: Path) -> str | None:
    """The generation that is served; None where nothing has been grown, or all is undone.

    :raises ConfigError: when the file that says so is damaged.
    """
    path = folder / CURRENT
    return _read(path, Current).generation if path.exists() else None


def read_generation(folder: Path, name: str) -> Generation:
    """One generation of a grown folder.

    :raises ConfigError: when it is not there, or damaged.
    """
    return _read(generation_folder(folder, name) / GENERATION, Generation)


def with_grown(config: Config) -> Config:
    """`config` with the grown specialists in its fleet, and the state that knows them.

    :raises ConfigError: when they do not fit the fleet any more; `pinnace grow --undo` takes them out.
    """
    folder = grown_folder(config)
    name = current_generation(folder)
    if name is None:
        return config
    grown = from_folder(read_generation(folder, name).members, folder)
    taken = {*(member.name for member in config.fleet), *config.absent}
    if doubled := sorted(taken & {member.name for member in grown}):
        raise _misfit(folder, f"fleet: {doubled!r} is grown, and in router.yaml too")
    fleet = (*config.fleet, *grown)
    try:
        check_bases(fleet)
    except ValueError as error:
        raise _misfit(folder, str(error)) from None
    state = generation_folder(folder, name) / STATE
    return config.model_copy(
        update={"fleet": fleet, "router": config.router.model_copy(update={"state": state})}
    )


def _misfit(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"{folder}: {why}; 'pinnace grow --undo' takes out what was grown last")


def _read(path: Path, kind: type[S]) -> S:
    try:
        with path.open("rb") as file:
            return kind.model_validate_json(file.read(MAX_BYTES))
    except OSError as error:
        raise ConfigError(f"{path}: not readable: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {complaint_of(error)}") from None
