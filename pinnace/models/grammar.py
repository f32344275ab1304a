"""One grammar for one answer: calls of offered tools, JSON or a choice that was asked for, or text.

What vLLM holds a model to, in llguidance's Lark dialect. vLLM's own endpoint drops the tools where there is a
schema beside them (vllm#39929); here they are alternatives of the same grammar: a call begins with
`<tool_call>`, which begins no JSON, so the two cannot be taken for one another. Pure; compiles nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.models.completion import Request
from pinnace.models.tool_turns import (
    AFTER_NAME,
    BETWEEN_CALLS,
    CLOSING,
    OPENING,
    answer_choices,
    answer_schema,
    must_call,
    offered_tools,
)

MOST_CALLS = 8
TOKENS_PER_CALL = 64
"""What a call is taken to need where the room for several is counted."""
SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON as models write it, on one line: free whitespace is what small ones lose themselves in."""
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
TEXT = "TEXT: /(?s:.*)/ & ~/(?s:.*)<tool_call>(?s:.*)/"


@dataclass(frozen=True, slots=True)
class Part:
    """One schema of a request, and the field that it came in. `name` is the tool's, None for the answer's.

    What `is_bare` is one of the texts that its schema lists, without JSON's quotes.
    """

    schema: Any
    param: str
    name: str | None = None
    is_bare: bool = False


def parts_of_request(request: Request) -> tuple[Part, ...]:
    """The schemas that the answer to `request` is held to; none where it may be any text."""
    tools = offered_tools(request)
    names = [tool["function"]["name"] for tool in request.tools]
    calls = [
        Part(
            _parameters(tool.get("parameters")),
            f"tools[{names.index(tool['name'])}].function.parameters",
            tool["name"],
        )
        for tool in tools
    ]
    schema, choices = answer_schema(request), answer_choices(request)
    if (schema is None and not choices) or (tools and must_call(request)):
        return tuple(calls)
    if choices:
        return (*calls, Part({"enum": list(choices)}, "response_format", is_bare=True))
    return (*calls, Part(schema, "response_format"))


def grammar_of(request: Request, parts: Sequence[Part], max_tokens: int) -> str:
    """The grammar of the answers to `request`, with the schemas of `parts` as they are there."""
    calls = [part for part in parts if part.name is not None]
    answers = [part for part in parts if part.name is None]
    ways = (["calls"] if calls else []) + (["answer"] if answers else [])
    if calls and not answers and not must_call(request):
        ways.append("TEXT")
    lines = [f"start: {' | '.join(ways)}"]
    if calls:
        lines += _call_rules(calls, _most_calls(request, max_tokens))
    lines += [line for part in answers for line in _answer("answer", part)]
    lines += [TEXT] if "TEXT" in ways else []
    return "\n".join(lines) + "\n"


def single_grammar(part: Part) -> str:
    """The grammar of one schema alone."""
    return "\n".join(_answer("start", part)) + "\n"


def _answer(rule: str, part: Part) -> list[str]:
    """The rule of an answer; a choice is one terminal, since a thousand of them are too much for a lexer."""
    if not part.is_bare:
        return [f"{rule}: {_json(part.schema)}"]
    texts = " | ".join(f'"{_quoted(choice)}"' for choice in part.schema["enum"])
    return [f"{rule}: CHOICE", f"CHOICE: {texts}"]


def _call_rules(calls: Sequence[Part], most: int) -> list[str]:
    more = f' ("{_quoted(BETWEEN_CALLS)}" call){{0,{most - 1}}}' if most > 1 else ""
    kinds = " | ".join(f"call_{i}" for i in range(len(calls)))
    rules = [f"calls: call{more}", f"call: {kinds}"]
    for i, part in enumerate(calls):
        opening = _quoted(f"{OPENING}{part.name}{AFTER_NAME}")
        rules.append(f'call_{i}: "{opening}" arguments_{i} "{_quoted(CLOSING)}"')
        rules.append(f"arguments_{i}: {_json(part.schema)}")
    return rules


def _most_calls(request: Request, max_tokens: int) -> int:
    return min(max(max_tokens // TOKENS_PER_CALL, 1), MOST_CALLS) if request.parallel_tool_calls else 1


def _parameters(schema: Any) -> Any:
    """A tool's parameters as the schema of an object."""
    if schema is None:
        return NO_PARAMETERS
    return schema if "type" in schema or "$ref" in schema else {"type": "object", **schema}


def _json(schema: Any) -> str:
    """The rule of a JSON value; a boolean schema becomes the object that means the same."""
    plain: Mapping[str, Any] = {} if schema is True else schema
    return f"%json {json.dumps({**plain, 'x-guidance': SPACING})}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
