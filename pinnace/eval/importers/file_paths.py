"""Which files of a layout are meant by the paths that were given, and what their names say."""

import re
from collections.abc import Sequence
from pathlib import Path

from pinnace.errors import TableError

_SPLIT = re.compile(r"(?P<task>.+)[-_](?P<split>train|test|val|valid)")


def files_of(paths: Sequence[Path], *patterns: str) -> tuple[Path, ...]:
    """The files themselves, and in place of a folder all files below it that match a pattern, by name.

    :raises TableError: when a path is not there, or a folder holds no such file.
    """
    files: dict[Path, None] = {}
    for path in paths:
        found = _below(path, patterns) if path.is_dir() else [path]
        if not path.exists():
            raise TableError(f"{path}: no such file or folder")
        if not found:
            raise TableError(f"{path}: expected files named {' or '.join(patterns)} in it, got none")
        files |= dict.fromkeys(found)
    return tuple(files)


def task_and_split(path: Path) -> tuple[str, str | None]:
    """What a name such as `mmlu_train.json` or `gsm8k-test.json` says: the task, and the split if any."""
    match = _SPLIT.fullmatch(path.stem)
    return (match["task"], match["split"]) if match else (path.stem, None)


def _below(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()})
