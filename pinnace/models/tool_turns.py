"""Tools and schemas as a local model reads them: a system turn made by us, and earlier calls as text.

The form is that of Hermes and Qwen, which small models have seen most: a call is `<tool_call>`, a line of
JSON with name and arguments, `</tool_call>`; what a tool said comes back in `<tool_response>`. The model's
own chat template is not asked for its tools, since that of SmolLM2 knows none. `grammar.py` holds answers
to the same form.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pinnace.models.completion import Message, Request

OPENING = '<tool_call>\n{"name": "'
AFTER_NAME = '", "arguments": '
CLOSING = "}\n</tool_call>"
BETWEEN_CALLS = "\n"
MOST_CHOICES, LONGEST_CHOICE = 1024, 256
"""How many texts an answer may be one of, and characters in one of them."""


def offered_tools(request: Request) -> tuple[Mapping[str, Any], ...]:
    """The functions (name, description, parameters) that the model may call: none, one or all."""
    if request.tool_choice == "none":
        return ()
    functions = tuple(tool["function"] for tool in request.tools)
    if isinstance(request.tool_choice, Mapping):
        chosen: str = request.tool_choice["function"]["name"]
        return tuple(function for function in functions if function["name"] == chosen)
    return functions


def may_call(request: Request) -> bool:
    """Whether the answer may be a call."""
    return bool(request.tools) and request.tool_choice != "none"


def must_call(request: Request) -> bool:
    """Whether the answer has to be a call."""
    return request.tool_choice == "required" or isinstance(request.tool_choice, Mapping)


def answer_schema(request: Request) -> Mapping[str, Any] | None:
    """The JSON schema of an answer that is no call; None where it may be any text."""
    asked = request.response_format or {}
    if asked.get("type") == "json_object":
        return {"type": "object"}
    return asked["json_schema"]["schema"] if asked.get("type") == "json_schema" else None


def answer_choices(request: Request) -> tuple[str, ...]:
    """The texts of which an answer that is no call has to be one; none where it may be any text."""
    asked = request.response_format or {}
    return tuple(asked["choices"]) if asked.get("type") == "choice" else ()


def is_choice(text: object) -> bool:
    """Whether an answer may be held to `text`: short, printable, on one line, without blanks around it."""
    if not isinstance(text, str):
        return False
    return 0 < len(text) <= LONGEST_CHOICE and text.isprintable() and text == text.strip()


def spoken_messages(request: Request, system: str | None) -> Sequence[Message]:
    """The turns of `request` with what its tools and its schema mean, in words.

    :param system: the system turn to begin with where the request has none and one is needed.
    """
    told = "\n\n".join(_told(request))
    messages = [_spoken(message) for message in request.messages]
    if not told:
        return messages
    if messages[0].role in ("system", "developer"):
        own, *rest = messages
        return [replace(own, content=f"{own.content}\n\n{told}"), *rest]
    if any(message.role in ("system", "developer") for message in messages):
        system = None
    return [Message("system", f"{system}\n\n{told}" if system else told), *messages]


def _told(request: Request) -> list[str]:
    """The paragraphs about tools and schema."""
    tools, schema = offered_tools(request), answer_schema(request)
    return ([_tools_told(request, tools)] if tools else []) + (
        [_schema_told(request, schema)] if schema is not None and not (tools and must_call(request)) else []
    )


def _tools_told(request: Request, tools: Sequence[Mapping[str, Any]]) -> str:
    lines = "\n".join(json.dumps(dict(tool), ensure_ascii=False) for tool in tools)
    duty = "Call a function now." if must_call(request) else "Call one where it helps, else answer directly."
    shape = f"{OPENING}<function-name>{AFTER_NAME}<args-json-object>{CLOSING}"
    return (
        f"# Tools\n\nYou may call functions. Their signatures are within <tools></tools>:\n<tools>\n{lines}\n"
        f"</tools>\n\n{duty} A call is a JSON object within <tool_call></tool_call>:\n{shape}"
    )


def _schema_told(request: Request, schema: Mapping[str, Any]) -> str:
    if (request.response_format or {}).get("type") == "json_object":
        return "Answer with one JSON object and nothing else."
    return f"Answer with JSON of this schema and nothing else:\n{json.dumps(schema, ensure_ascii=False)}"


def _spoken(message: Message) -> Message:
    """A turn as text: the calls that an assistant made, and what a tool said."""
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    calls: Sequence[Mapping[str, Any]] = message.extra.get("tool_calls") or ()
    if not calls:
        return message
    written = [
        f"{OPENING}{call['function']['name']}{AFTER_NAME}{call['function']['arguments'] or '{}'}{CLOSING}"
        for call in calls
    ]
    return replace(message, content="\n".join([message.content, *written] if message.content else written))
