"""Tool calls put together from the pieces in which they are streamed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call put together from its pieces; `arguments` is the text that the model wrote."""

    name: str
    arguments: str


def gather_calls(pieces: Iterable[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """The tool calls that streamed `pieces` (OpenAI's shape) make up, in their order."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for piece in pieces:
        position = int(piece.get("index") or 0)
        function: Mapping[str, Any] = piece.get("function") or {}
        names[position] = names.get(position, "") + (function.get("name") or "")
        arguments[position] = arguments.get(position, "") + (function.get("arguments") or "")
    return tuple(ToolCall(names[position], arguments[position]) for position in sorted(names))
