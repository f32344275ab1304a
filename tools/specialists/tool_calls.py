"""Requests for one call of one function, with the functions that are offered: schemas from a seeded program.

Names, descriptions, the order and presence of parameters vary; what a request does not name stays out of the
call. Nothing here is from BFCL: neither its functions nor its questions.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tool_parts import OPTIONAL_SAID, Composed, composed_function
from tool_values import KINDS

from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING

FUNCTIONS: list[Mapping[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("tool_functions.yaml").read_bytes()
)
NOT_OFFERED = "None of the functions that I have can do that."
COMPOSED_SHARE = 0.75
"""Share of the functions that are composed of parts; the others are of `FUNCTIONS`."""
NOT_OFFERED_SHARE = 0.2
"""Share of the requests that none of the offered functions fits."""
PREFIXES = ("", "", "", "Please: ", "Hi! ", "Could you help? ", "For my work: ")


class Parameter(NamedTuple):
    """One parameter of `FUNCTIONS`, read."""

    name: str
    kind: str
    about: str
    is_optional: bool
    phrase: str


def tool_call_rows(count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """`count` rows: one function is offered, or a few of which one fits, or sometimes none does."""
    for _ in range(count):
        (called, schema, asked, arguments), *others = _some(draw.choice((1, 1, 1, 2, 3)) + 1, draw)
        offered = [each.schema for each in others[:-1]]
        if draw.random() < NOT_OFFERED_SHARE:
            offered, answer, choice = [*offered, others[-1].schema], NOT_OFFERED, "auto"
        else:
            offered.append(schema)
            answer = f"{OPENING}{called}{AFTER_NAME}{json.dumps(arguments, ensure_ascii=False)}{CLOSING}"
            choice = "required" if draw.random() < 0.85 else "auto"
        draw.shuffle(offered)
        tools = [{"type": "function", "function": each} for each in offered]
        yield {"prompt": asked, "answer": answer, "tools": tools, "tool_choice": choice}


def _some(count: int, draw: random.Random) -> list[Composed]:
    """So many functions with requests for them, no two of one name."""
    found: dict[str, Composed] = {}
    while len(found) < count:
        is_composed = draw.random() < COMPOSED_SHARE
        each = composed_function(draw) if is_composed else _made(draw.choice(FUNCTIONS), draw)
        found.setdefault(each.name, each)
    return list(found.values())


def _made(function: Mapping[str, Any], draw: random.Random) -> Composed:
    """A name, the schema under it, a request, and the arguments that the request comes to."""
    name = draw.choice(function["names"]).replace(".", "_")
    parameters = [_read(line) for line in function["parameters"]]
    kept = [each for each in parameters if not each.is_optional or draw.random() < 0.8]
    said, arguments = _request(draw.choice(function["asks"]), kept, draw)
    schema = {
        "name": name,
        "description": function["about"].rstrip("." if draw.random() < 0.2 else ""),
        "parameters": {
            "type": "object",
            "properties": {each.name: _schema(each, draw) for each in kept},
            "required": [each.name for each in kept if not each.is_optional],
        },
    }
    return Composed(name, schema, said, arguments)


def _read(line: str) -> Parameter:
    told, _, phrase = line.partition("=")
    name, kind, about = re.fullmatch(r"(\w+\??):(\[[^]]*\]|\w+):(.*)", told).groups()  # type: ignore[union-attr]
    return Parameter(name.rstrip("?"), kind, about, name.endswith("?"), phrase)


def _request(ask: str, kept: list[Parameter], draw: random.Random) -> tuple[str, dict[str, Any]]:
    """What the user says, and the arguments in the order of the schema; some of the optional are not said."""
    said: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    extra = ""
    for each in kept:
        if each.is_optional and draw.random() > OPTIONAL_SAID:
            continue
        said[each.name], arguments[each.name] = _value(each, draw, set(said.values()))
        extra += each.phrase.format(**said)
    body, end = (ask[:-1], ask[-1]) if ask[-1] in "?." else (ask, draw.choice(("?", ".", "")))
    return draw.choice(PREFIXES) + body.format(**said) + extra + end, arguments


def _value(parameter: Parameter, draw: random.Random, taken: set[str]) -> tuple[str, Any]:
    """A value as it is said and as it is called, another than those that were said already."""
    if parameter.kind == "true":
        return "", True
    if parameter.kind.startswith("["):
        chosen = draw.choice(parameter.kind[1:-1].split(","))
        return chosen, chosen
    said, value = KINDS[parameter.kind][1](draw)
    while said in taken:
        said, value = KINDS[parameter.kind][1](draw)
    return said, value


def _schema(parameter: Parameter, draw: random.Random) -> Mapping[str, Any]:
    about = parameter.about if draw.random() < 0.85 else parameter.about.rstrip(".").lower()
    if parameter.kind == "true":
        return {"type": "boolean", "description": about}
    if parameter.kind.startswith("["):
        return {"type": "string", "description": about, "enum": parameter.kind[1:-1].split(",")}
    return {**KINDS[parameter.kind][0], "description": about}
