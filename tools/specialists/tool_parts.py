"""Functions composed of parts: a thing, what is done with it, and fields that say which.

What people can ask for is far wider than any list of functions; here names, descriptions, fields and the
phrases that name them are drawn apart from each other, with values that hardly come twice. Drawn from a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tool_values import KINDS

PARTS: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())
OPTIONAL_SAID = 0.8
"""Share of the optional fields that a request names."""
ENUM_SHARE = 0.6
"""Share of the choices whose schema lists them; the description of the others does."""
EXAMPLE_SHARE = 0.2
"""Share of the values whose description gives another as an example, or as the default."""


class Field(NamedTuple):
    """One line of `fields`, with one of its names and descriptions for each of its parameters."""

    names: list[str]
    kinds: list[str]
    abouts: list[str]
    phrases: list[str]


class Composed(NamedTuple):
    """A function's `name` and `schema`, what a user says, and the arguments that it comes to."""

    name: str
    schema: dict[str, Any]
    said: str
    arguments: dict[str, Any]


def composed_function(draw: random.Random) -> Composed:
    """One that finds, books, describes or computes something."""
    return _computing(draw) if draw.random() < 0.25 else _about_things(draw)


def _about_things(draw: random.Random) -> Composed:
    group = draw.choice(PARTS["groups"])
    thing, many = draw.choice(group["things"]).split("/")
    verbs, about, asks = draw.choice(group["actions"]).split(" / ")
    must = draw.sample(group["must"], draw.choice((1, 1, 2)))
    may = draw.sample(group["may"], draw.choice((0, 1, 1, 2, 2, 3)))
    schema, phrases, arguments = _parameters(must, may, draw)
    wanted = draw.choice(asks.split("; ")).format(thing=thing, many=many)
    name = _name(draw.choice(verbs.split()), thing, many, draw)
    description = about.format(thing=thing, many=many)
    return Composed(name, _schema(name, description, schema), _sentence(wanted, phrases, draw), arguments)


def _name(verb: str, thing: str, many: str, draw: random.Random) -> str:
    """How a programmer may call it."""
    noun = draw.choice((thing, thing, many)).replace(" ", "_").replace("-", "_")
    camel = verb + "".join(word.capitalize() for word in noun.split("_"))
    return draw.choice(
        (f"{verb}_{noun}", f"{noun}_{verb}", f"{noun}.{verb}", f"get_{noun}_{verb}", camel)
    ).replace(".", "_")


def _parameters(
    must: list[str], may: list[str], draw: random.Random
) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """The properties with `required`, the phrases of those that are said, and their arguments."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    phrases: list[str] = []
    arguments: dict[str, Any] = {}
    for line in [*must, *may]:
        field = _field(PARTS["fields"][line], draw)
        if set(field.names) & set(properties):
            continue
        is_required = line in must or draw.random() < 0.25
        values = [_value(kind, draw) for kind in field.kinds]
        for name, kind, about in zip(field.names, field.kinds, field.abouts, strict=True):
            properties[name] = _property(kind, about, draw, is_required=is_required)
            required += [name] if is_required else []
        if is_required or draw.random() < OPTIONAL_SAID:
            arguments |= {name: value for name, (_, value) in zip(field.names, values, strict=True)}
            phrases.append(_phrase(draw.choice(field.phrases), values))
    if draw.random() < 0.5:
        first, rest = phrases[:1], phrases[1:]
        draw.shuffle(rest)
        phrases = first + rest
    ordered = {name: arguments[name] for name in properties if name in arguments}
    return {"properties": properties, "required": required}, phrases, ordered


def _field(line: str, draw: random.Random) -> Field:
    names, kinds, abouts, phrases = line.split(": ", 3)
    return Field(
        draw.choice(names.split()).split("+"),
        [kinds] if kinds.startswith("[") else kinds.split("+"),
        draw.choice([each for each in abouts.split(";") if each.count("|") == kinds.count("+")]).split("|"),
        phrases.split(";"),
    )


def _value(kind: str, draw: random.Random) -> tuple[str, Any]:
    """As it is said, and as it is called."""
    if kind in ("true", "flag"):
        value = kind == "true" or draw.random() < 0.5
        return "", value
    if kind.startswith("["):
        chosen = draw.choice(kind[1:-1].split(","))
        return chosen, chosen
    return KINDS[kind][1](draw)


def _phrase(phrase: str, values: list[tuple[str, Any]]) -> str:
    (first, value), *others = values
    if isinstance(value, bool):
        return phrase.split("|")[0 if value else -1]
    more = {letter: said for letter, (said, _) in zip("wx", others, strict=False)}
    return phrase.format(v=first, **more)


def _property(kind: str, about: str, draw: random.Random, *, is_required: bool) -> dict[str, Any]:
    if not is_required and draw.random() < 0.3:
        about += " Optional."
    if kind in ("true", "flag"):
        return {"type": "boolean", "description": about}
    if not kind.startswith("["):
        other = json.dumps(KINDS[kind][1](draw)[1], ensure_ascii=False)
        if draw.random() < EXAMPLE_SHARE and "e.g." not in about and "Default" not in about:
            about += (
                f" E.g. {other}."
                if is_required
                else draw.choice((f" Default is {other}.", f" E.g. {other}."))
            )
        return {**KINDS[kind][0], "description": about}
    choices = kind[1:-1].split(",")
    if draw.random() < ENUM_SHARE:
        return {"type": "string", "description": about, "enum": choices}
    told = ", ".join(f"'{each}'" for each in choices)
    return {
        "type": "string",
        "description": f"{about} {draw.choice(('Options', 'One of', 'Can be'))}: {told}.",
    }


def _computing(draw: random.Random) -> Composed:
    """A function of two to four quantities; the last may be optional, with a default."""
    names, about = draw.choice(PARTS["sums"]).split(": ")
    name = draw.choice(names.split())
    name = draw.choice(
        (name, f"calculate_{name}", f"{name}_calculator", f"compute_{name}", f"physics_{name}")
    )
    properties: dict[str, Any] = {}
    required: list[str] = []
    arguments: dict[str, Any] = {}
    said: list[str] = []
    style = draw.choice(("of", "is", "=", "bare"))
    quantities = draw.sample(PARTS["quantities"], draw.choice((1, 2, 2, 3, 3, 4)))
    for at, line in enumerate(quantities):
        called, units, span, told = line.split(": ", 3)
        unit = draw.choice(units.split("; ") if "; " in units else [units]).strip(" ;")
        parameter = draw.choice(called.split())
        if parameter in properties:
            continue
        low, high = (float(each) for each in span.split(" to "))
        is_whole = high > 3 and draw.random() < 0.5
        number = (
            draw.randint(int(low), int(high))
            if high > 3 and draw.random() < 0.7
            else round(draw.uniform(low, high), 2)
        )
        number = int(number) if is_whole else number
        is_optional = at > 0 and at == len(quantities) - 1 and draw.random() < 0.5
        told += f" Default is {draw.randint(int(low) + 1, int(high) + 1)}." if is_optional else ""
        properties[parameter] = {"type": "integer" if is_whole else "number", "description": told}
        required += [] if is_optional else [parameter]
        if not is_optional or draw.random() < OPTIONAL_SAID:
            arguments[parameter] = number
            said.append(_quantity(called.split()[0].replace("_", " "), number, unit, style, draw))
    wanted = draw.choice(
        ("Calculate {}", "What is {}", "Find {}", "Compute {}", "I need to know {}", "Determine {}")
    ).format(about)
    joined = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
    opening = {"of": "with", "is": "if", "=": "for", "bare": "for"}[style]
    schema = _schema(name, f"Calculate {about}.", {"properties": properties, "required": required})
    return Composed(name, schema, _sentence(wanted, [f"{opening} {joined}"], draw), arguments)


def _quantity(name: str, number: float, unit: str, style: str, draw: random.Random) -> str:
    shown = f"{number:,}" if isinstance(number, int) and draw.random() < 0.2 else str(number)
    value = f"{shown}{unit}" if unit in ("°", "%", "°C") else f"{shown} {unit}".strip()
    article = "an" if name[0] in "aeiou" else "a"
    return {
        "of": f"{article} {name} of {value}",
        "is": f"the {name} is {value}",
        "=": f"{name} = {shown}",
        "bare": draw.choice((f"{name} {value}", f"{value} {name}")),
    }[style]


def _sentence(wanted: str, phrases: list[str], draw: random.Random) -> str:
    text = " ".join([wanted, *phrases])
    for mark in (",", ":"):
        text = text.replace(f" {mark}", mark)
    asks = wanted.split()[0] in ("What", "How", "Which", "Are", "When", "Where", "Can")
    return text + (draw.choice(("?", "?", "")) if asks else draw.choice((".", ".", "")))


def _schema(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "parameters": {"type": "object", **parameters}}
