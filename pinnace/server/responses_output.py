"""The items of a response as they grow: what was written, and the functions that are called.

Text comes before and between calls in items of its own; the pieces of several calls may come in any order.
Knows nothing of events or of the object around the items.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from pinnace.models.completion import Delta, TokenLogprob
from pinnace.server.completion import tokens_of

Status = Literal["in_progress", "completed", "incomplete"]


class TextItem:
    """A message of the model; `position` is its place among the items."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = f"msg_{uuid.uuid4().hex}"
        self._pieces: list[str] = []
        self._tokens: list[TokenLogprob] = []

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        self._pieces.append(delta.text)
        self._tokens.extend(delta.logprobs)

    def text(self) -> str:
        """What it says so far."""
        return "".join(self._pieces)

    def part(self, logprobs: int | None) -> dict[str, Any]:
        """Its one part, as far as it has come."""
        found = [] if logprobs is None else tokens_of(self._tokens, logprobs)
        return {"type": "output_text", "text": self.text(), "annotations": [], "logprobs": found}

    def to_wire(self, status: Status, logprobs: int | None) -> dict[str, Any]:
        """The item in OpenAI's fields; it has no part before it says something."""
        content = [] if status == "in_progress" else [self.part(logprobs)]
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }


class CallItem:
    """A function that is called; `position` is its place among the items."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = f"fc_{uuid.uuid4().hex}"
        self.name = ""
        self._call_id = ""
        self._arguments: list[str] = []

    def add(self, piece: Mapping[str, Any]) -> str:
        """Take the next piece of the call; returns what it adds to the arguments."""
        function: Mapping[str, Any] = piece.get("function") or {}
        arguments: str = function.get("arguments") or ""
        self._call_id = piece.get("id") or self._call_id or f"call_{uuid.uuid4().hex}"
        self.name = function.get("name") or self.name
        self._arguments.append(arguments)
        return arguments

    def arguments(self) -> str:
        """The JSON text that the model has written so far."""
        return "".join(self._arguments)

    def to_wire(self, status: Status, logprobs: int | None = None) -> dict[str, Any]:
        """The item in OpenAI's fields; its arguments once it is over."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self.name,
            "arguments": "" if status == "in_progress" else self.arguments(),
        }


class Output:
    """All items of one answer, in the order in which they began. `finish` is why it ended."""

    def __init__(self) -> None:
        self.items: list[TextItem | CallItem] = []
        self.text: TextItem | None = None
        self.finish = "stop"
        self._calls: dict[int, CallItem] = {}

    def add(self, delta: Delta) -> None:
        """Take the next piece of the answer."""
        if delta.text:
            self.open_text().add(delta)
        for piece in delta.tool_calls:
            self.call_of(piece).add(piece)
        if delta.finish_reason is not None:
            self.finish = delta.finish_reason

    def open_text(self) -> TextItem:
        """The message that is being written; a new one where none is."""
        if self.text is None:
            self.text = TextItem(len(self.items))
            self.items.append(self.text)
        return self.text

    def call_of(self, piece: Mapping[str, Any]) -> CallItem:
        """The call that `piece` belongs to; a new one ends the message before it."""
        number: int = piece.get("index", len(self._calls))
        if number not in self._calls:
            self.text = None
            self._calls[number] = CallItem(len(self.items))
            self.items.append(self._calls[number])
        return self._calls[number]

    def reason(self) -> str | None:
        """Why the answer is not whole, in OpenAI's words; None where it is."""
        return {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self.finish)

    def to_wire(self, logprobs: int | None) -> list[dict[str, Any]]:
        """All items; the last one is what an answer that is not whole was broken off in."""
        if not self.items:
            self.open_text()
        ends: list[Status] = ["completed"] * len(self.items)
        if self.reason() is not None:
            ends[-1] = "incomplete"
        return [item.to_wire(end, logprobs) for item, end in zip(self.items, ends, strict=True)]
