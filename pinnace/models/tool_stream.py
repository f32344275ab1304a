"""From the text that a local model writes to content and tool calls, piece by piece.

Reads the form that `grammar.py` holds it to. Text passes on as soon as it is clear that it is no call; of a
call the name comes first, then its arguments as they are written. Knows nothing of schemas.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pinnace.models.completion import Delta
from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING

Piece = Mapping[str, Any]


class ToolStream:
    """One choice of one answer. `calls` counts the calls begun, `is_whole` says whether all have ended."""

    def __init__(self) -> None:
        self.calls = 0
        self._waiting: str = ""
        self._read: Callable[[list[str], list[Piece]], bool] = self._read_start
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    @property
    def is_whole(self) -> bool:
        """Whether no call is left half written."""
        return self._read in (self._read_start, self._read_text)

    def feed(self, text: str) -> tuple[str, list[Piece]]:
        """Take the next text; what of it is content, and what pieces of calls it makes."""
        self._waiting += text
        content: list[str] = []
        pieces: list[Piece] = []
        while self._waiting and self._read(content, pieces):
            pass
        return "".join(content), pieces

    def end(self) -> str:
        """What is left when the answer has ended: text that only began like a call."""
        left, self._waiting = self._waiting, ""
        return left if self.calls == 0 and not left.startswith(OPENING) else ""

    def _read_start(self, content: list[str], pieces: list[Piece]) -> bool:
        """Before a call, or before text."""
        waiting = self._waiting.lstrip("\n") if self.calls else self._waiting
        if waiting.startswith(OPENING):
            name, found, rest = waiting[len(OPENING) :].partition(AFTER_NAME)
            if not found:
                return False
            self._waiting = rest
            pieces.append(_opening(self.calls, name))
            self.calls += 1
            self._depth, self._read = 0, self._read_arguments
            return True
        if self.calls or OPENING.startswith(waiting):
            return False
        self._read = self._read_text
        return True

    def _read_text(self, content: list[str], pieces: list[Piece]) -> bool:
        content.append(self._waiting)
        self._waiting = ""
        return False

    def _read_arguments(self, content: list[str], pieces: list[Piece]) -> bool:
        """Up to the bracket that closes the first one."""
        end = next((i for i, sign in enumerate(self._waiting, 1) if self._closes(sign)), None)
        written, self._waiting = self._waiting[:end], "" if end is None else self._waiting[end:]
        pieces.append({"index": self.calls - 1, "function": {"arguments": written}})
        if end is not None:
            self._read = self._read_closing
        return end is not None

    def _read_closing(self, content: list[str], pieces: list[Piece]) -> bool:
        if not self._waiting.startswith(CLOSING):
            return False
        self._waiting = self._waiting[len(CLOSING) :]
        self._read = self._read_start
        return True

    def _closes(self, sign: str) -> bool:
        """Take one character of JSON; whether it closes the outermost bracket."""
        if self._in_string:
            self._in_string = self._is_escaped or sign != '"'
            self._is_escaped = sign == "\\" and not self._is_escaped
            return False
        if sign == '"':
            self._in_string = True
        elif sign in "{[":
            self._depth += 1
        elif sign in "}]":
            self._depth -= 1
            return self._depth == 0
        return False


class ToolStreams:
    """The choices of one answer."""

    def __init__(self) -> None:
        self._choices: dict[int, ToolStream] = {}

    def unpacked(self, delta: Delta) -> Delta:
        """`delta` with content and pieces of calls in place of the text that the model wrote."""
        choice = self._choices.setdefault(delta.index, ToolStream())
        text, pieces = choice.feed(delta.text)
        finish = delta.finish_reason
        if finish is not None:
            text += choice.end()
        if finish == "stop" and choice.calls and choice.is_whole:
            finish = "tool_calls"
        return replace(delta, text=text, tool_calls=pieces, finish_reason=finish)


def _opening(index: int, name: str) -> Piece:
    """The first piece of a call, with the id that its result will name."""
    function = {"name": name, "arguments": ""}
    return {"index": index, "id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
