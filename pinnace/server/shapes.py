"""The parts of a chat request: messages, tools, formats. Strict about types, closed to unknown fields.

Knows nothing of limits from the configuration; `pinnace.server.wire` puts the parts together.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pinnace.models.completion import PREFIX, Message, Role
from pinnace.models.tool_turns import LONGEST_CHOICE, MOST_CHOICES, is_choice

NAME = r"^[A-Za-z0-9_-]{1,64}$"
"""What functions and schemas may be called."""


class Shape(BaseModel):
    """A part of the wire: frozen, strict about types, closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def wrong(expected: str) -> PydanticCustomError:
    """The error of a value that a check written by hand refuses."""
    return PydanticCustomError("wrong_value", "{expected}", {"expected": expected})


def joined_text(value: object, part_text: Callable[[object], str]) -> object:
    """A string, or a list of text parts as one string, a part a line; `part_text` reads a part."""
    if isinstance(value, list):
        return "\n".join(part_text(part) for part in cast(list[object], value))
    if value is None or isinstance(value, str):
        return value
    raise wrong("expected a string or a list of text parts")


def _part_text(part: object) -> str:
    fields = cast(dict[str, object], part) if isinstance(part, dict) else {}
    kind, text = fields.get("type"), fields.get("text")
    if isinstance(kind, str) and kind != "text":
        raise PydanticCustomError(
            "unsupported", "{kind} parts are not supported, only text", {"kind": kind[:40]}
        )
    if kind is None or not isinstance(text, str):
        raise wrong("expected every part to be {'type': 'text', 'text': '...'}")
    return text


_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
Content = Annotated[
    str | None,
    BeforeValidator(partial(joined_text, part_text=_part_text)),
    WithJsonSchema({"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": _PART}]}),
]


class CalledFunction(Shape):
    """The function that a model called, with its arguments as the JSON text that the model wrote."""

    name: str = Field(pattern=NAME)
    arguments: str


class ToolCall(Shape):
    """A tool call of an earlier assistant turn."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(Shape):
    """One turn. Fields that an assistant's answer carries home again are accepted and left unread."""

    role: Role
    content: Content = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = Field(default=None, fail_fast=True)
    tool_call_id: str | None = None
    prefix: bool | None = None
    refusal: str | None = None
    annotations: Any = None
    audio: None = None
    function_call: None = None

    @model_validator(mode="after")
    def _fits_its_role(self) -> "ChatMessage":
        if self.role == "tool" and not self.tool_call_id:
            raise wrong("expected a tool message to have a tool_call_id")
        if self.tool_calls and self.role != "assistant":
            raise wrong("expected tool_calls on assistant messages only")
        if self.prefix and (self.role != "assistant" or not self.content or self.tool_calls):
            raise wrong("expected prefix on an assistant message with content only")
        if self.content is None and not self.tool_calls:
            raise wrong("expected content, or tool_calls on an assistant message")
        return self

    def to_message(self) -> Message:
        """The turn as backends read it."""
        extra: dict[str, Any] = {}
        if self.name is not None:
            extra["name"] = self.name
        if self.tool_call_id is not None:
            extra["tool_call_id"] = self.tool_call_id
        if self.prefix:
            extra[PREFIX] = True
        if self.tool_calls:
            extra["tool_calls"] = [call.model_dump() for call in self.tool_calls]
        return Message(self.role, self.content or "", extra)


class FunctionTool(Shape):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Shape):
    """A tool; only functions are known."""

    type: Literal["function"]
    function: FunctionTool


def _tool_choice(value: object) -> object:
    """`none`, `auto`, `required`, or one function by its name."""
    if value is None or (isinstance(value, str) and value in ("none", "auto", "required")):
        return value
    if isinstance(value, dict) and chosen_function(cast(dict[str, object], value)) is not None:
        return cast(object, value)
    raise wrong("expected 'none', 'auto', 'required' or {'type': 'function', 'function': {'name': '...'}}")


def chosen_function(choice: Mapping[str, object]) -> str | None:
    """The function that a `tool_choice` object names; None where it is not of that form."""
    function = choice.get("function")
    if choice != {"type": "function", "function": function} or not isinstance(function, dict):
        return None
    fields = cast(dict[str, object], function)
    name = fields.get("name")
    return name if fields == {"name": name} and isinstance(name, str) else None


_FUNCTION = {
    "type": "object",
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
    "required": ["type", "function"],
    "additionalProperties": False,
}
ToolChoice = Annotated[
    str | dict[str, Any] | None,
    BeforeValidator(_tool_choice),
    WithJsonSchema({"anyOf": [{"enum": ["none", "auto", "required", None]}, _FUNCTION]}),
]


class JsonSchema(Shape):
    """The schema that an answer must have."""

    name: str = Field(pattern=NAME)
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


def _choice(text: str) -> str:
    if not is_choice(text):
        raise wrong(f"expected 1 to {LONGEST_CHOICE} printable characters without blanks around them")
    return text


Choice = Annotated[str, AfterValidator(_choice), Field(min_length=1, max_length=LONGEST_CHOICE)]
"""A text that an answer may be."""


class ResponseFormat(Shape):
    """What form the answer must have. A `choice` is one of its `choices` and nothing else, as bare text."""

    type: Literal["text", "json_object", "json_schema", "choice"]
    json_schema: JsonSchema | None = None
    choices: list[Choice] | None = Field(default=None, min_length=1, max_length=MOST_CHOICES)

    @model_validator(mode="after")
    def _has_its_schema(self) -> "ResponseFormat":
        if (self.type == "choice") != (self.choices is not None):
            raise wrong("expected choices with the type 'choice', and only with it")
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise wrong("expected json_schema with the type 'json_schema', and only with it")
        return self

    def to_format(self) -> Mapping[str, Any] | None:
        """The format as backends read it; plain text is none."""
        return None if self.type == "text" else self.model_dump(by_alias=True, exclude_none=True)


def _false(value: object) -> object:
    if value is None or value is False:
        return value
    raise PydanticCustomError("unsupported", "not supported yet: leave it out or send false")


NotStored = Annotated[bool | None, BeforeValidator(_false), WithJsonSchema({"enum": [False, None]})]


class StreamOptions(Shape):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
