"""Values of a row, as a suite file says where they are; and templates that are filled with them.

Pure. Knows no file and no suite.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pinnace.errors import TableError
from pinnace.eval.rules.choice import LETTERS
from pinnace.eval.suite_file import Field, at
from pinnace.eval.task_rows import Row

Value = str | tuple[str, ...]
_NAME = re.compile(r"\{(\w+)\}")


class Values:
    """The values of one row by field; a name that the suite does not declare is a key of the row itself.

    A value is looked up when it is asked for.

    :raises TableError: (when asked) that it is missing or not what the field says.
    """

    def __init__(self, row: Row, fields: Mapping[str, Field], given: Mapping[str, Value]) -> None:
        self.row = row
        self._fields = fields
        self._given = given

    def __getitem__(self, name: str) -> Value:
        if name in self._given:
            return self._given[name]
        if name == "options" and name not in self._fields:
            return lettered(self.texts("choices"))
        return value_of(self.row, self._fields.get(name) or at(name))

    def has(self, name: str) -> bool:
        """Whether the suite declares this field."""
        return name in self._fields or name in self._given

    def given(self, **values: Value) -> "Values":
        """The same row with these values in the place of its own."""
        return Values(self.row, self._fields, {**self._given, **values})

    def complaint(self, name: str, expected: str, got: object) -> TableError:
        """The error for one wrong field, by the key that it comes from."""
        source = self._fields[name].source if name in self._fields else name
        return self.row.complaint(source, expected, got)

    def text(self, name: str) -> str:
        """A value as text: a list has a line for each."""
        value = self[name]
        return value if isinstance(value, str) else "\n".join(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A value as a list."""
        value = self[name]
        return (value,) if isinstance(value, str) else value

    def filled(self, template: str) -> str:
        """`template` with values for its `{names}`; other braces stay."""
        return _NAME.sub(lambda match: self.text(match[1]), template)


def lettered(choices: Sequence[str]) -> str:
    """Options as a prompt shows them: a letter and a text on each line."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def value_of(row: Row, field: Field) -> Value:
    """The value of one field of one row.

    :raises TableError: when it is missing, empty, or does not match.
    """
    found = _at(row, field.source)
    if field.match is None and field.separator is None and isinstance(found, list):
        texts = [_text(item) for item in cast(list[Any], found)]
        if not texts or not all(isinstance(item, str) for item in cast(list[Any], found)):
            raise row.complaint(field.source, "a list of texts", cast(object, found))
        return tuple(texts)
    text = _text(found)
    if not text and field.default is not None:
        return field.default
    if not text:
        raise row.complaint(field.source, "text", found)
    if field.match is not None:
        match = re.search(field.match, text, re.DOTALL)
        if match is None or not match[1].strip():
            raise row.complaint(field.source, f"text that matches {field.match!r}", text)
        text = match[1].strip()
    if field.map is not None:
        if text not in field.map:
            raise row.complaint(field.source, f"one of {[*field.map]!r}", text)
        text = field.map[text]
    text = TIDIES[field.tidy](text) if field.tidy else text
    return tuple(part.strip() for part in re.split(field.separator, text)) if field.separator else text


def _at(row: Row, path: str) -> object:
    value: object = dict(row.fields)
    for part in path.split("."):
        if isinstance(value, dict):
            value = cast(Mapping[str, object], value).get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(cast(list[Any], value)):
            value = cast(list[Any], value)[int(part)]
        else:
            return None
    return value


def _text(value: object) -> str:
    """A value as text: numbers, truths and objects as JSON has them."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _untokenised(text: str) -> str:
    """TREC's spaced-out tokens as a person writes them."""
    text = re.sub(r"``\s*|\s*''(?!\w)", '"', " ".join(text.split()))
    text = re.sub(r"`\s+(.*?)\s+'(?!\w)", r"'\1'", text)
    return re.sub(r"\s+(?=[?.,;:!]|'\w)", "", text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _spaced(text: str) -> str:
    return text.replace("_", " ")


TIDIES: Mapping[str, Callable[[str], str]] = {
    "capital": _capital,
    "spaced": _spaced,
    "untokenised": _untokenised,
}
