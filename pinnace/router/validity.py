"""Validity of an answer's form: does it keep the format that the request asked for? Pure.

JSON is parsed and compared with the request's JSON schema, a choice with its texts; tool calls are compared
with the tools, and with how many and which of them were asked for. Says nothing of what is in it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.models.completion import Request
from pinnace.models.json_fit import fits
from pinnace.models.tool_calls import ToolCall
from pinnace.models.tool_turns import answer_choices, must_call, offered_tools


def is_valid(text: str, calls: Sequence[ToolCall], request: Request) -> bool:
    """Whether a finished answer keeps the format that `request` asked for; True where it asked for none.

    One that was cut off may still be a choice, where one text begins another.
    """
    if calls:
        offered = offered_tools(request)
        return (request.parallel_tool_calls or len(calls) == 1) and all(
            _is_valid_call(call, offered) for call in calls
        )
    if must_call(request):
        return False
    asked = request.response_format or {}
    if asked.get("type") == "json_object":
        return isinstance(_parsed(text), dict)
    if asked.get("type") == "json_schema":
        wrapper: Mapping[str, Any] = asked.get("json_schema") or {}
        value = _parsed(text)
        return value is not _BROKEN and fits(value, wrapper.get("schema"))
    choices = answer_choices(request)
    return not choices or text.strip() in choices


def _is_valid_call(call: ToolCall, functions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the function may be called, and the arguments are an object that fits its parameters."""
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
