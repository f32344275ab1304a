"""Rows to train on: prompt and answer, and why a row is refused.

What a row may hold is decided here, before any of it comes near a model. A refused row is named by its
number and the reason; the others are kept, unless so many are refused that the file is not what it should be.
Knows nothing of tokens but the control tokens that no text may spell.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from unicodedata import category

from pinnace.errors import TrainingRowsError

MOST_CHARACTERS = 32_768
"""Of one field. Longer rows are somebody's mistake, or somebody's attack on the memory."""
MOST_LINE_BYTES = 4 * MOST_CHARACTERS
MOST_ROWS = 1_000_000
MOST_REFUSED = 0.05
FIELDS = ("prompt", "answer", "system", "tools", "tool_choice")

_CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\s]{1,64}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<[｜|][^<>]{1,64}[｜|]>"
)
_PLAIN = frozenset("\n\t\r")
_UNSEEN = frozenset(
    chr(at) for at in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xE0000, 0xE0080))
)
"""What reorders text or hides in it: directional overrides, and the letters of the tag block."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One prompt and the answer that is to be learnt.

    `system`, `tools` and `tool_choice` are as a request would bring them; a call in the answer is written as
    `pinnace.models.tool_turns` has it.
    """

    prompt: str
    answer: str
    system: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Literal["auto", "required"] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not trained on: its number, the first being 1, and why."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows that may be trained on, and those that may not."""

    kept: tuple[TrainingRow, ...]
    refused: tuple[Refusal, ...] = ()

    def numbers(self) -> list[int]:
        """The number of each kept row, as it was before others were refused."""
        gone = {each.number for each in self.refused}
        return [n for n in range(1, len(self.kept) + len(gone) + 1) if n not in gone]


Spells = Callable[[str], str | None]
"""The first control token of a base's own that a text spells (`ChatTokenizer.spelled`)."""


def read_rows(
    path: Path, *, spells: Spells = lambda text: None, most_refused: float = MOST_REFUSED
) -> TrainingRows:
    """The rows of a file with one JSON object a line.

    :param spells: finds the base's own control tokens; those of the usual models are known without it.
    :param most_refused: the share of rows beyond which the whole file is refused.
    :raises TrainingRowsError: when the file cannot be read, has no row, too many, or too many refused ones.
    """
    return checked_rows(read_lines(path), spells=spells, most_refused=most_refused, where=f"{path}: ")


def checked_rows(
    rows: Iterable[object],
    *,
    spells: Spells = lambda text: None,
    most_refused: float = MOST_REFUSED,
    where: str = "",
) -> TrainingRows:
    """The same of rows in memory: mappings with `prompt` and `answer`.

    :param where: what messages begin with.
    """
    kept: list[TrainingRow] = []
    refused: list[Refusal] = []
    for number, row in enumerate(rows, start=1):
        if number > MOST_ROWS:
            raise TrainingRowsError(f"{where}expected at most {MOST_ROWS} rows, got more")
        try:
            kept.append(_row(row, spells))
        except _RefusedError as why:
            refused.append(Refusal(number, str(why)))
    check_refusals(len(kept) + len(refused), refused, most_refused, where)
    return TrainingRows(tuple(kept), tuple(refused))


def check_refusals(
    rows: int, refused: Sequence[Refusal], most_refused: float = MOST_REFUSED, where: str = ""
) -> None:
    """Refuse the whole where too much of it is refused.

    :raises TrainingRowsError: when there is no row, or more than `most_refused` of them are refused.
    """
    if not rows:
        raise TrainingRowsError(f"{where}expected rows of prompt and answer, got none")
    if len(refused) > most_refused * rows or len(refused) == rows:
        shown = "".join(f"\n  row {each.number}: {each.why}" for each in refused[:5])
        raise TrainingRowsError(
            f"{where}expected at most {most_refused:.0%} of the rows to be refused, "
            f"got {len(refused)} of {rows}:{shown}"
        )


class _RefusedError(Exception):
    """Why one row is refused."""


def read_lines(path: Path) -> Iterator[object]:
    """Each line as JSON has it, or as the bytes that it could not read; a huge line is never held whole.

    :raises TrainingRowsError: when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            while line := file.readline(MOST_LINE_BYTES + 1):
                if len(line) > MOST_LINE_BYTES:
                    yield line
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MOST_LINE_BYTES)
                elif line.strip():
                    yield _parsed(line)
    except OSError as error:
        raise TrainingRowsError(f"{path}: rows not readable: {error.strerror}") from None


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _row(row: object, spells: Spells) -> TrainingRow:
    if isinstance(row, bytes):
        raise _RefusedError(
            f"huge: expected a line of at most {MOST_LINE_BYTES} bytes, got more"
            if len(row) > MOST_LINE_BYTES
            else f"expected a JSON object in UTF-8, got {row[:40]!r}"
        )
    if not isinstance(row, Mapping):
        raise _RefusedError(f"expected an object with prompt and answer, got {repr(row)[:40]}")
    fields = cast("Mapping[str, Any]", row)
    if unknown := sorted(set(map(str, fields)) - set(FIELDS)):
        raise _RefusedError(f"unknown fields: {', '.join(unknown)[:200]}; there are: {', '.join(FIELDS)}")
    system = fields.get("system")
    return TrainingRow(
        prompt=_text("prompt", fields.get("prompt"), spells),
        answer=_text("answer", fields.get("answer"), spells),
        system=None if system is None else _text("system", system, spells),
        tools=_tools(fields.get("tools"), spells),
        tool_choice=_choice(fields.get("tool_choice")),
    )


def _text(name: str, value: object, spells: Spells) -> str:
    """A field that is text, and nothing but text that a person could read."""
    if not isinstance(value, str):
        raise _RefusedError(f"{name}: expected text, got {'nothing' if value is None else repr(value)[:40]}")
    if not value.strip():
        raise _RefusedError(f"{name}: empty")
    _check_readable(name, value, spells)
    return value


def _check_readable(name: str, text: str, spells: Spells) -> None:
    if len(text) > MOST_CHARACTERS:
        raise _RefusedError(f"{name}: huge: expected at most {MOST_CHARACTERS} characters, got {len(text)}")
    if odd := next((sign for sign in text if _is_odd(sign)), None):
        raise _RefusedError(f"{name}: binary or control character {odd!r}")
    found = _CONTROL_TOKEN.search(text)
    if control := found[0] if found else spells(text):
        raise _RefusedError(f"{name}: spells the control token {control!r}")


def _is_odd(sign: str) -> bool:
    return (
        sign == "\ufffd" or sign in _UNSEEN or (category(sign) in ("Cc", "Cs", "Co") and sign not in _PLAIN)
    )


def _tools(value: object, spells: Spells) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    tools = cast("list[Any]", value) if isinstance(value, list) else []
    if not tools or not all(_is_tool(tool) for tool in tools):
        expected = "a list of {type: function, function: {name, ...}}"
        raise _RefusedError(f"tools: expected {expected}, got {repr(cast(object, value))[:40]}")
    _check_readable("tools", json.dumps(tools, ensure_ascii=False), spells)
    return tuple(tools)


def _is_tool(tool: object) -> bool:
    function = cast("Mapping[str, Any]", tool).get("function") if isinstance(tool, Mapping) else None
    return isinstance(function, Mapping) and isinstance(cast("Mapping[str, Any]", function).get("name"), str)


def _choice(value: object) -> Literal["auto", "required"] | None:
    if value is None or value == "auto" or value == "required":
        return value  # pyright: ignore[reportReturnType]
    raise _RefusedError(f"tool_choice: expected 'auto' or 'required', got {repr(value)[:40]}")
