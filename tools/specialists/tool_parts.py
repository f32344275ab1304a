"""Functions composed of parts: a thing, what is done with it, and fields that say which.

What people can ask for is far wider than any list of functions; here names, descriptions, fields and the
phrases that name them are drawn apart from each other, with values that hardly come twice. Drawn from a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tool_values import KINDS, enumerated

PARTS: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())
OPTIONAL_SAID = 0.8
"""Share of the optional fields that a request names."""
ENUM_SHARE = 0.6
"""Share of the choices whose schema lists them; the description of the others does."""
RESPELT_SHARE = 0.5
"""Share of the choices that the schema spells otherwise than people say them."""
BEFORE = "<"
"""What a phrase begins with that stands before the thing, as "small" does in "a small fern"."""
UNIT_SHARE = 0.35
"""Share of the computing functions that take the unit of their first quantity."""
PLACE_KINDS = {"place", "city", "us_city", "city_and_state", "coordinates"}
"""A request names one place, or one way: of two, nobody could tell which is meant where."""
EXAMPLE_SHARE = 0.2
"""Share of the values whose description gives another as an example, or as the default."""


class Field(NamedTuple):
    """One line of `fields`, with one of its names and descriptions for each of its parameters."""

    names: list[str]
    kinds: list[str]
    abouts: list[str]
    phrases: list[str]


class Choices(NamedTuple):
    """A kind in brackets: what people say, and what the schema lists for it; a call has one, or a list."""

    said: list[str]
    called: list[str]
    is_many: bool


class Composed(NamedTuple):
    """A function's `name` and `schema`, what a user says, and the arguments that it comes to."""

    name: str
    schema: dict[str, Any]
    said: str
    arguments: dict[str, Any]


SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.capitalize,
    str.title,
    str.upper,
    lambda said: said.replace(" ", "_").replace("-", "_"),
)


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
    before = " ".join(phrase.removeprefix(BEFORE) for phrase in phrases if phrase.startswith(BEFORE))
    phrases = [phrase for phrase in phrases if not phrase.startswith(BEFORE)]
    asked = {"thing": f"{before} {thing}".strip(), "many": f"{before} {many}".strip()}
    wanted = draw.choice(asks.split("; ")).format(**asked)
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
    has_place = False
    for line in [*must, *may]:
        field = _field(PARTS["fields"][line], draw)
        is_place = not PLACE_KINDS.isdisjoint(field.kinds)
        if set(field.names) & set(properties) or (is_place and has_place):
            continue
        has_place |= is_place
        is_required = line in must or draw.random() < 0.25
        kinds = [_choices(kind, draw) if kind[0] in "[{" else kind for kind in field.kinds]
        values = [_value(kind, draw) for kind in kinds]
        for name, kind, about in zip(field.names, kinds, field.abouts, strict=True):
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
        [kinds] if kinds[0] in "[{" else kinds.split("+"),
        draw.choice([each for each in abouts.split(";") if each.count("|") == kinds.count("+")]).split("|"),
        phrases.split(";"),
    )


def _choices(kind: str, draw: random.Random) -> Choices:
    """`[a,b]`, of which a call has one, or `{a,b}`, of which it has some."""
    said = kind[1:-1].split(",")
    spell = draw.choice(SPELLINGS) if draw.random() < RESPELT_SHARE else str
    return Choices(said, [spell(each) for each in said], kind.startswith("{"))


def _value(kind: str | Choices, draw: random.Random) -> tuple[str, Any]:
    """As it is said, and as it is called."""
    if isinstance(kind, Choices):
        at = draw.sample(range(len(kind.said)), draw.choice((1, 1, 1, 2, 2, 3)) if kind.is_many else 1)
        called = [kind.called[each] for each in at]
        return enumerated([kind.said[each] for each in at]), called if kind.is_many else called[0]
    if kind in ("true", "flag"):
        return "", kind == "true" or draw.random() < 0.5
    return KINDS[kind][1](draw)


def _phrase(phrase: str, values: list[tuple[str, Any]]) -> str:
    (first, value), *others = values
    if isinstance(value, bool):
        return phrase.split("|")[0 if value else -1]
    more = {letter: said for letter, (said, _) in zip("wx", others, strict=False)}
    return phrase.format(v=first, **more)


def _property(kind: str | Choices, about: str, draw: random.Random, *, is_required: bool) -> dict[str, Any]:
    if not is_required and draw.random() < 0.3:
        about += " Optional."
    if isinstance(kind, Choices):
        return _chosen(kind, about, draw)
    if kind in ("true", "flag"):
        return {"type": "boolean", "description": about}
    other = KINDS[kind][1](draw)[1]
    told = {**KINDS[kind][0], "description": about}
    if draw.random() < EXAMPLE_SHARE and "e.g." not in about and "Default" not in about:
        if not is_required and draw.random() < 0.3:
            return {**told, "default": other}
        word = "E.g." if is_required or draw.random() < 0.5 else "Default is"
        told["description"] += f" {word} {json.dumps(other, ensure_ascii=False)}."
    return told


def _chosen(choices: Choices, about: str, draw: random.Random) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "description": about}
    if choices.is_many or draw.random() < ENUM_SHARE:
        text |= {"enum": choices.called}
    else:
        told = ", ".join(f"'{each}'" for each in choices.called)
        text |= {"description": f"{about} {draw.choice(('Options', 'One of', 'Can be'))}: {told}."}
    if not choices.is_many:
        return text
    return {"type": "array", "items": {"type": "string", "enum": choices.called}, "description": about}


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
        if at == 0 and unit and draw.random() < UNIT_SHARE:
            told = f"The unit of the {parameter}.{draw.choice((' Optional.', ' Default is SI.', ''))}"
            properties["unit"] = {"type": "string", "description": told}
            arguments |= {"unit": unit} if style != "=" else {}
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
