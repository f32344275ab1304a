"""The parts of a responses request: input items, tools, formats; and the chat turns that they make up.

Strict about types, closed to unknown fields; what an earlier answer carries home again is accepted. Items,
tools and parts of other kinds are refused by their names. Knows nothing of limits or of answers.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from pinnace.models.completion import Message, Role
from pinnace.server.shapes import NAME, Shape, joined_text, wrong

_TEXT_PARTS = ("input_text", "output_text", "text")


def _part_text(part: object) -> str:
    fields = cast(dict[str, object], part) if isinstance(part, dict) else {}
    kind, text = fields.get("type"), fields.get("text")
    if isinstance(kind, str) and kind == "refusal":
        text = fields.get("refusal")
    elif isinstance(kind, str) and kind not in _TEXT_PARTS:
        raise _no_such("parts", kind, "text")
    if kind is None or not isinstance(text, str):
        raise wrong("expected every part to be {'type': 'input_text', 'text': '...'}")
    return text


def _no_such(what: str, kind: str, only: str) -> PydanticCustomError:
    return PydanticCustomError(
        "unsupported",
        "{kind} {what} are not supported, only {only}",
        {"kind": kind[:40], "what": what, "only": only},
    )


_PART = {
    "type": "object",
    "properties": {"type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
Text = Annotated[
    str | None,
    BeforeValidator(partial(joined_text, part_text=_part_text)),
    WithJsonSchema({"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": _PART}]}),
]


_KINDS = ("message", "function_call", "function_call_output")
_NEEDS = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}


def _kind(value: object) -> object:
    if isinstance(value, str) and value not in _KINDS:
        raise _no_such("items", value, ", ".join(_KINDS))
    return value


class Item(Shape):
    """One step of the conversation: a turn, a function that was called, or what came of the call.

    The last three fields are those that an answer's items carry home again; they are left unread.
    """

    type: Annotated[Literal["message", "function_call", "function_call_output"], BeforeValidator(_kind)] = (
        "message"
    )
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Text = None
    call_id: str | None = Field(default=None, min_length=1)
    name: str | None = Field(default=None, pattern=NAME)
    arguments: str | None = None
    output: Text = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "Item":
        needed = _NEEDS[self.type]
        others = {name for names in _NEEDS.values() for name in names}.difference(needed)
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise wrong(f"expected {self.type} items to have {missing[0]}")
        if surplus := sorted(name for name in others if getattr(self, name) is not None):
            raise wrong(f"expected {self.type} items to have no {surplus[0]}")
        return self


def turns_of(items: Iterable[Item]) -> list[Message]:
    """The chat turns of `items`: calls join the assistant's turn right before them, or make one."""
    turns: list[Message] = []
    for item in items:
        if item.type == "function_call":
            _add_call(turns, item)
        elif item.type == "function_call_output":
            turns.append(Message("tool", item.output or "", {"tool_call_id": item.call_id}))
        else:
            turns.append(Message(cast(Role, item.role), item.content or ""))
    return turns


def _add_call(turns: list[Message], item: Item) -> None:
    function = {"name": item.name, "arguments": item.arguments}
    call = {"id": item.call_id, "type": "function", "function": function}
    last = turns.pop() if turns and turns[-1].role == "assistant" else Message("assistant", "")
    turns.append(Message("assistant", last.content, {"tool_calls": [*_calls(last), call]}))


def _calls(turn: Message) -> Sequence[Any]:
    return turn.extra.get("tool_calls", ())


class ResponseTool(Shape):
    """A function that the model may call; `parameters` is a JSON schema."""

    type: Literal["function"]
    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_function(cls, value: object) -> object:
        fields = cast(dict[str, object], value) if isinstance(value, dict) else {}
        kind = fields.get("type")
        if isinstance(kind, str) and kind != "function":
            raise _no_such("tools", kind, "function")
        return cast(object, value)

    def to_tool(self) -> dict[str, Any]:
        """The tool as a chat has it."""
        return {"type": "function", "function": self.model_dump(exclude={"type"}, exclude_none=True)}


def _choice(value: object) -> object:
    """`none`, `auto`, `required`, or one function by its name."""
    if value is None or (isinstance(value, str) and value in ("none", "auto", "required")):
        return value
    if isinstance(value, dict):
        fields = cast(dict[str, object], value)
        name = fields.get("name")
        if isinstance(name, str) and fields == {"type": "function", "name": name}:
            return fields
    raise wrong("expected 'none', 'auto', 'required' or {'type': 'function', 'name': '...'}")


Choice = Annotated[
    str | dict[str, Any] | None,
    BeforeValidator(_choice),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["none", "auto", "required", None]},
                {
                    "type": "object",
                    "properties": {"type": {"const": "function"}, "name": {"type": "string"}},
                    "required": ["type", "name"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class TextFormat(Shape):
    """What form the answer must have; the schema lies in it directly."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(default=None, pattern=NAME)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "TextFormat":
        has_all = self.name is not None and self.schema_ is not None
        if (self.type == "json_schema") != has_all or (self.type != "json_schema" and self._has_any()):
            raise wrong("expected name and schema with the type 'json_schema', and only with it")
        return self

    def _has_any(self) -> bool:
        return any(v is not None for v in (self.name, self.description, self.schema_, self.strict))

    def to_format(self) -> dict[str, Any] | None:
        """The format as a chat has it; plain text is none."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": "json_object"}
        inner = self.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
        return {"type": "json_schema", "json_schema": inner}


class TextSettings(Shape):
    """Settings of the text that is written."""

    format: TextFormat | None = None
    verbosity: None = None
