"""Loading: from a YAML file and the environment to a `Config`, or a `ConfigError` that says what is wrong.

A fleet member marked `optional` whose variables are not set is left out and named in `Config.absent`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from pinnace.config.adapter import from_folder
from pinnace.config.complaint import complaint_of
from pinnace.config.config import Config
from pinnace.config.document import read_document
from pinnace.config.grown import with_grown
from pinnace.config.variables import substitute
from pinnace.errors import ConfigError

DEFAULT_PATH = Path("router.yaml")


def load_config(path: Path, environ: Mapping[str, str] | None = None, *, grown: bool = True) -> Config:
    """Read `router.yaml`, and what was grown beside it.

    :param path: the YAML file; relative paths inside it are taken from the working folder, but those of
        adapters, which come with the file, from its own.
    :param environ: where `${NAME}` is looked up; the process's environment by default.
    :param grown: whether the specialists of `pinnace grow` are in the fleet, and its state in use.
    :raises ConfigError: when the file is not there, is not YAML, or does not fit the model.
    """
    raw = read_document(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with the key 'fleet', got {type(raw).__name__}")
    found = parse_config(
        cast(dict[str, Any], raw), os.environ if environ is None else environ, source=str(path)
    )
    own = found.model_copy(update={"fleet": from_folder(found.fleet, path.parent)})
    return with_grown(own) if grown else own


def parse_config(raw: Mapping[str, Any], environ: Mapping[str, str], *, source: str = "config") -> Config:
    """Turn what YAML held into a `Config`; see `load_config`."""
    members, absent = _present_members(raw.get("fleet"), environ, source)
    rest = {key: substitute(raw[key], environ, f"{source}: {key}") for key in raw if key != "fleet"}
    if "absent" in rest:
        raise ConfigError(f"{source}: unknown key 'absent'")
    try:
        return Config.model_validate({**rest, "fleet": members, "absent": absent})
    except ValidationError as error:
        raise ConfigError(f"{source}: {complaint_of(error)}") from None


def _present_members(fleet: Any, environ: Mapping[str, str], source: str) -> tuple[list[Any], dict[str, str]]:
    if not isinstance(fleet, list) or not fleet:
        got = type(cast(object, fleet)).__name__ if fleet else "none"
        raise ConfigError(f"{source}: fleet: expected a list of at least one model, got {got}")
    present: list[Any] = []
    absent: dict[str, str] = {}
    for position, member in enumerate(cast(list[Any], fleet)):
        try:
            present.append(substitute(member, environ, f"{source}: fleet.{position}"))
        except ConfigError as error:
            if not _is_optional(member):
                raise
            absent[str(member.get("name"))] = str(error)
    if not present:
        raise ConfigError(f"{source}: every fleet member is absent: {'; '.join(absent.values())}")
    return present, absent


def _is_optional(member: Any) -> bool:
    return isinstance(member, dict) and cast(dict[str, Any], member).get("optional") is True
