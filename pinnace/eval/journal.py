"""The journal of a live run: finished outcomes on disk as they end, so that a stopped run can go on.

One JSON object a line: first the settings of the run, then one outcome each. Knows nothing of how
outcomes come about.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from pathlib import Path
from typing import IO, Any

from pinnace.errors import TableError
from pinnace.eval.outcome import Outcome


class Journal:
    """Appends outcomes to `path`; opened again with the same settings, it knows those already there, by model
    and id.

    A last line that a killed run left torn is cut off. Without a path it only remembers. Use as a
    context manager.

    :raises TableError: when the file holds a run with other settings, or is no journal.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = dict(settings)
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "Journal":
        if self.path is not None:
            self._file = self._open(self.path)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Write one outcome down, at once."""
        self.outcomes[outcome.model, outcome.id] = outcome
        row = asdict(outcome)
        self._append({name: None if value != value else value for name, value in row.items()})

    def remove(self) -> None:
        """Delete the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _open(self, path: Path) -> IO[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        first, *rest = whole.splitlines() or [self._line(self.settings)]
        self._check_settings(first)
        self.outcomes = {(each.model, each.id): each for each in map(self._outcome, rest)}
        file = path.open("ab")
        file.truncate(len(whole))
        if not whole:
            file.write(first + b"\n")
        return file

    def _append(self, row: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(self._line(row) + b"\n")
            self._file.flush()

    def _line(self, row: Mapping[str, Any]) -> bytes:
        return json.dumps(row, ensure_ascii=False).encode()

    def _check_settings(self, line: bytes) -> None:
        found = self._parse(line)
        if found != self.settings:
            raise TableError(
                f"{self.path}: an unfinished run with other settings: expected {self.settings!r}, "
                f"got {found!r}; finish that run as it was begun, or delete this file"
            )

    def _outcome(self, line: bytes) -> Outcome:
        row = self._parse(line)
        try:
            row |= {name: nan if row[name] is None else row[name] for name in ("score", "cost")}
            return Outcome(**row)
        except (KeyError, TypeError):
            raise TableError(f"{self.path}: expected an outcome, got {line[:80]!r}") from None

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            raise TableError(f"{self.path}: expected a JSON object, got {line[:80]!r}") from None
