"""A model's folder by whatever it is called: a folder, or a hub repository that is here already.

Fetches nothing.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from pinnace.errors import WeightsError
from pinnace.models.cache import is_ready

_REPOSITORY = re.compile(r"(?:hf:)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([0-9a-f]{40}))?", re.ASCII)


def found_folder(name: str, cache: Path) -> Path | None:
    """The folder that `name` means; None where it means none that is here.

    :param name: a folder, or `ORG/NAME`, `hf:ORG/NAME` or `hf:ORG/NAME@REVISION`.
    :param cache: where Pinnace keeps fetched weights.
    """
    folder = Path(name.removeprefix("path:")).expanduser()
    if folder.is_dir():
        return folder
    match = _REPOSITORY.fullmatch(name)
    if match is None:
        return None
    return _in_our_cache(match[1], match[2], cache) or _in_hub_cache(match[1], match[2])


def needed_folder(name: str, cache: Path) -> Path:
    """The same.

    :raises WeightsError: when there is none.
    """
    folder = found_folder(name, cache)
    if folder is None:
        raise WeightsError(f"expected a folder, or a hub repository in the cache, got {name!r}")
    return folder


def _in_our_cache(repository: str, revision: str | None, cache: Path) -> Path | None:
    slots = cache.glob(f"hub/{repository.replace('/', '--')}-{(revision or '')[:12]}*/model")
    return next((slot for slot in sorted(slots) if is_ready(slot)), None)


def _in_hub_cache(repository: str, revision: str | None) -> Path | None:
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        errors: Any = importlib.import_module("huggingface_hub.errors")
    except ImportError:
        return None
    try:
        return Path(hub.snapshot_download(repository, revision=revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None
