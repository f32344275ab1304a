"""Rows of task files as they were published: JSON, JSON lines and plain lines.

Reads and checks single fields; knows nothing of what a set asks.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pinnace.errors import TableError


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a task file, and where it stands."""

    where: str
    fields: Mapping[str, Any]

    def text(self, key: str) -> str:
        """The field `key`, stripped.

        :raises TableError: when it is missing, empty or no text.
        """
        value = self.fields.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.complaint(key, "text", value)
        return value.strip()

    def texts(self, *keys: str) -> tuple[str, ...]:
        """The list of texts under `keys`, one inside the other.

        :raises TableError: when it is missing, empty or holds anything but text.
        """
        *outer, last = keys
        fields = self.fields
        for key in outer:
            fields = _mapping(fields.get(key)) or {}
        value = fields.get(last)
        texts = _list(value)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise self.complaint(".".join(keys), "a list of texts", value)
        return tuple(text.strip() for text in texts)

    def complaint(self, key: str, expected: str, got: object) -> TableError:
        """The error for one wrong field."""
        return TableError(f"{self.where}: {key}: expected {expected}, got {repr(got)[:80]}")


def json_lines(path: Path) -> Iterator[Row]:
    """The rows of a file with one JSON object on every line."""
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            yield _row(path, number, _parse(path, line, f"row {number}"))


def json_list(path: Path) -> Iterator[Row]:
    """The rows of a file that is one JSON list of objects."""
    parsed = _parse(path, _read(path), "the file")
    items = _list(parsed)
    if items is None:
        raise TableError(f"{path}: expected a JSON list, got {type(parsed).__name__}")
    for number, item in enumerate(items, start=1):
        yield _row(path, number, item)


def json_pairs(path: Path, key: str) -> Iterator[Row]:
    """The rows of a list of [text, label] pairs, under `key` in a file that is one JSON object."""
    parsed = _mapping(_parse(path, _read(path), "the file")) or {}
    pairs = _list(parsed.get(key))
    if pairs is None:
        raise TableError(f"{path}: {key}: expected a list of [text, label] pairs, got none")
    for number, item in enumerate(pairs, start=1):
        pair = _list(item) or []
        if len(pair) != 2:
            raise TableError(f"{path}: {key}: row {number}: expected [text, label], got {repr(item)[:80]}")
        yield Row(f"{path}: {key}: row {number}", {"text": pair[0], "label": pair[1]})


def plain_lines(path: Path, encoding: str) -> Iterator[Row]:
    """The lines of a text file that are not empty, each as the field `line`."""
    for number, line in enumerate(_read(path, encoding).split("\n"), start=1):
        if line.strip():
            yield _row(path, number, {"line": line})


def _read(path: Path, encoding: str = "utf-8") -> str:
    try:
        return path.read_text(encoding=encoding)
    except OSError as error:
        raise TableError(f"{path}: task file not readable: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: expected {encoding} text: {error}") from None


def _list(value: object) -> list[Any] | None:
    return cast(list[Any], value) if isinstance(value, list) else None


def _mapping(value: object) -> Mapping[str, Any] | None:
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _parse(path: Path, text: str, what: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise TableError(f"{path}: {what}: expected JSON, got {text[:60]!r}: {error}") from None


def _row(path: Path, number: int, item: object) -> Row:
    where = f"{path}: row {number}"
    fields = _mapping(item)
    if fields is None:
        raise TableError(f"{where}: expected a JSON object, got {repr(item)[:80]}")
    return Row(where, fields)
