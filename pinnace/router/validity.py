"""Validity of an answer's form: does it keep the format that the request asked for? Pure.

JSON is parsed and compared with the request's JSON schema; tool calls are compared with the tools. Of a
schema it reads `type`, `enum`, `const`, `required`, `properties`, `additionalProperties: false`, `items`
and `anyOf`; other keywords it does not know, and lets everything pass them. Says nothing of what is in it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pinnace.models.completion import Request

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


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


def is_valid(text: str, calls: Sequence[ToolCall], request: Request) -> bool:
    """Whether a finished answer keeps the format that `request` asked for; True where it asked for none."""
    if calls:
        return all(_is_valid_call(call, request.tools) for call in calls)
    if request.tool_choice == "required" or isinstance(request.tool_choice, Mapping):
        return False
    asked = request.response_format or {}
    if asked.get("type") == "json_object":
        return isinstance(_parsed(text), dict)
    if asked.get("type") == "json_schema":
        wrapper: Mapping[str, Any] = asked.get("json_schema") or {}
        value = _parsed(text)
        return value is not _BROKEN and fits(value, wrapper.get("schema"))
    return True


def fits(value: Any, schema: Any) -> bool:
    """Whether a parsed JSON value fits a JSON schema, as far as the keywords above go."""
    if not isinstance(schema, Mapping):  # none, or a boolean that lets all or nothing pass
        return schema is not False
    known = cast(Mapping[str, Any], schema)
    return (
        _is_of_type(value, known.get("type"))
        and ("const" not in known or value == known["const"])
        and ("enum" not in known or value in known["enum"])
        and ("anyOf" not in known or any(fits(value, one) for one in known["anyOf"]))
        and (not isinstance(value, dict) or _fits_object(cast(dict[str, Any], value), known))
        and (not isinstance(value, list) or _fits_items(cast(list[Any], value), known))
    )


def _is_of_type(value: Any, expected: Any) -> bool:
    if expected is None:
        return True
    names: Sequence[str] = [expected] if isinstance(expected, str) else expected
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _TYPES.get(name, (object,))) for name in names)


def _fits_object(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    return (
        all(name in value for name in schema.get("required") or ())
        and (schema.get("additionalProperties") is not False or set(value) <= set(properties))
        and all(fits(value[name], part) for name, part in properties.items() if name in value)
    )


def _fits_items(value: Sequence[Any], schema: Mapping[str, Any]) -> bool:
    return "items" not in schema or all(fits(item, schema["items"]) for item in value)


def _is_valid_call(call: ToolCall, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the tool exists, and the arguments are an object that fits its parameters."""
    functions: list[Mapping[str, Any]] = [tool.get("function") or {} for tool in tools]
    parameters = [function.get("parameters") for function in functions if function.get("name") == call.name]
    arguments = _parsed(call.arguments or "{}")
    return bool(parameters) and isinstance(arguments, dict) and fits(arguments, parameters[0] or {})


_BROKEN = object()


def _parsed(text: str) -> Any:
    """The JSON value of `text`, or `_BROKEN`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _BROKEN
