"""A schema made narrower, so that what a small model writes by it comes to an end. Pure.

Every value of the narrowed schema is one of the schema it was made of; what goes are values that a model held
to `max_tokens` could hardly end: strings, lists and free objects without a bound, endless decimals, keys
that nobody named. The room is shared out among the parts of a value, in characters, taken at
`CHARACTERS_PER_TOKEN`; so that an answer ends is likely, not certain. Titles and descriptions go too.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from pinnace.models.json_schema import LISTS, MAPS, SINGLE, Schema

CHARACTERS_PER_TOKEN = 2
"""Fewer than English has (over 4): addresses, numbers and other scripts have about 2 (at 3, one answer in a
hundred and fifty was cut)."""
SHORTEST = 16
"""The least that a string without a bound of its own may have."""
ITEM = 64
"""The room of one item of a list that has something to say, as long as that makes for no more than
`MOST_ITEMS`."""
SHORT_ITEM = 24
"""Its room where there would else be fewer than `FEW_ITEMS`: people name more things than say of each."""
FEW_ITEMS = 8
MOST_ITEMS = 64
FREE_ITEMS = 8
"""How many values a list or an object may have whose schema says nothing of them."""
FREE_NAME = "^[^\\x00-\\x1f]{1,32}$"
FREE_DEPTH = 2
"""How deep a value may go whose schema says nothing of it."""
PLAIN = 10
"""The room of a number, a boolean or a choice."""
AROUND_NAME = 6
"""Quotes, colon, comma and blanks."""
LARGEST_INTEGER = 2**53 - 1
FINEST_STEP = 1e-6
_SAID = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
_NAMED = ("$id", "$schema", "$comment", "$anchor", "x-guidance")
_VALUE = ("type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "not", "if")
_OBJECT = ("properties", "required", "additionalProperties", "patternProperties", "maxProperties")
_ARRAY = ("items", "prefixItems", "minItems", "maxItems")
_STRING = ("pattern", "format", "minLength", "maxLength")
_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")

_Change = Callable[[Any, str, str], Any]
"""From a schema, the keyword it is under, and its name there, to what takes its place."""


def bounded(schema: Any, max_tokens: int) -> Any:
    """`schema` narrowed to what about `max_tokens` tokens can hold."""
    closes = not _has_all_of(schema)
    return _narrowed(schema, max_tokens * CHARACTERS_PER_TOKEN, closes)


def bare(schema: Any) -> Any:
    """`schema` without what says nothing to a compiler, its values as they are."""
    return _mapped(cast(Schema, schema), _bare) if isinstance(schema, Mapping) else schema


def _bare(schema: Any, keyword: str, name: str) -> Any:
    return bare(schema)


def _has_all_of(schema: Any) -> bool:
    """Whether schemas are intersected somewhere: then none may forbid what another names."""
    found: list[bool] = []

    def look(part: Any, keyword: str, name: str) -> None:
        found.append(keyword == "allOf" or _has_all_of(part))

    if isinstance(schema, Mapping):
        _mapped(cast(Schema, schema), look)
    return any(found)


def _mapped(schema: Schema, change: _Change) -> dict[str, Any]:
    """`schema` with `change` made to every schema directly within it, without what only people read."""
    found: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _SAID or keyword in _NAMED:
            continue
        if keyword in MAPS:
            found[keyword] = {name: change(part, keyword, name) for name, part in value.items()}
        elif keyword in LISTS or (keyword in SINGLE and isinstance(value, list)):
            found[keyword] = [change(part, keyword, "") for part in cast(list[Any], value)]
        else:
            found[keyword] = change(value, keyword, "") if keyword in SINGLE else value
    return found


def _narrowed(schema: Any, room: int, closes: bool) -> Any:
    """`schema` narrowed to `room` characters.

    :param closes: whether objects with named properties may have no others.
    """
    if schema is True:
        return _anything(room)
    if not isinstance(schema, Mapping):
        return schema
    known = cast(Schema, schema)
    if "enum" in known or "const" in known:
        return bare(known)
    shares = _shares(known.get("properties", {}), room)

    def change(part: Any, keyword: str, name: str) -> Any:
        return _narrowed(part, _room_within(keyword, shares.get(name, room), room, known), closes)

    found = _mapped(known, change)
    if "type" not in found and (kind := _implied(found)):
        found["type"] = kind
    types: list[str] = [found["type"]] if isinstance(found.get("type"), str) else found.get("type", [])
    if not types:
        return found if any(keyword in found for keyword in _VALUE) else {**_anything(room), **found}
    for kind, narrow in _NARROW.items():
        if kind in types:
            narrow(found, room, closes)
    return found


def _room_within(keyword: str, share: int, room: int, schema: Schema) -> int:
    """The room of the part of `schema` that is under `keyword`; `share` is that of a property."""
    if keyword == "properties":
        return share
    if keyword in ("items", "prefixItems", "additionalItems", "contains"):
        return room // _most_items(schema, room)
    return room // FREE_ITEMS if keyword in (*MAPS, "additionalProperties") else room


def _shares(properties: Mapping[str, Any], room: int) -> dict[str, int]:
    """The room of each property: by weight, after what names and plain values take."""
    weights = {name: _weight(part) for name, part in properties.items()}
    taken = sum(len(name) + AROUND_NAME + (0 if weight else PLAIN) for name, weight in weights.items())
    unit = max(room - taken, 0) // max(sum(weights.values()), 1)
    return {name: max(weight * unit, PLAIN) for name, weight in weights.items()}


def _weight(schema: Any) -> int:
    """How much a value of `schema` has to say: a string 1, a list 2, an object what is in it."""
    known: Schema = cast(Schema, schema) if isinstance(schema, Mapping) else {}
    if "enum" in known or "const" in known:
        return 0
    branches: list[Any] = [*known.get("anyOf", ()), *known.get("oneOf", ())]
    if branches:
        return max(map(_weight, branches))
    if "properties" in known:
        return sum(map(_weight, known["properties"].values()))
    types = known.get("type", "object")
    kinds: list[str] = [types] if isinstance(types, str) else types
    return max({"string": 1, "array": 2, "object": 2}.get(kind, 0) for kind in kinds)


def _taken(schema: Any) -> int:
    """The characters that a value of `schema` takes besides what it has to say."""
    known: Schema = cast(Schema, schema) if isinstance(schema, Mapping) else {}
    if "enum" in known or "const" in known:
        values: list[Any] = known.get("enum") or [known.get("const")]
        return max(len(json.dumps(value)) for value in values)
    branches: list[Any] = [*known.get("anyOf", ()), *known.get("oneOf", ())]
    if branches:
        return max(map(_taken, branches))
    if "properties" in known:
        return sum(len(name) + AROUND_NAME + _taken(part) for name, part in known["properties"].items())
    return 0 if _weight(known) else PLAIN


def _most_items(schema: Schema, room: int) -> int:
    items = schema.get("items", True)
    weight, taken = _weight(items), _taken(items)
    short = weight * SHORT_ITEM + taken
    few = min(room // short, FEW_ITEMS) if weight else 0
    fitting = min(max(room // max(short, ITEM if weight else PLAIN), few, 1), MOST_ITEMS)
    least = max(fitting, schema.get("minItems", 0), len(schema.get("prefixItems", ())))
    return max(min(schema.get("maxItems", least), least), 1)


def _implied(schema: Schema) -> str | None:
    """The type of the values that a schema without a type speaks of."""
    if any(keyword in schema for keyword in _VALUE):
        return None
    kinds = (("object", _OBJECT), ("array", _ARRAY), ("string", _STRING), ("number", _NUMBER))
    return next((kind for kind, keywords in kinds if any(each in schema for each in keywords)), None)


def _narrow_string(schema: dict[str, Any], room: int, closes: bool) -> None:
    if "pattern" not in schema and "format" not in schema:
        least = max(room, SHORTEST, schema.get("minLength", 0))
        schema["maxLength"] = min(schema.get("maxLength", least), least)


def _narrow_array(schema: dict[str, Any], room: int, closes: bool) -> None:
    most = _most_items(schema, room)
    schema["maxItems"] = min(schema.get("maxItems", most), most)
    schema.setdefault("items", _anything(room // most, FREE_DEPTH - 1))


def _narrow_object(schema: dict[str, Any], room: int, closes: bool) -> None:
    """Only named keys where there are names; else a few, of simple values."""
    if "$ref" in schema or any(keyword in schema for keyword in LISTS):
        return
    properties: Mapping[str, Any] = schema.get("properties") or {}
    others = schema.get("additionalProperties", True)
    if (missing := set(schema.get("required", ())) - set(properties)) and _is_anything(others):
        free = _anything(room // FREE_ITEMS, FREE_DEPTH - 1)
        schema["properties"] = properties = {**properties, **dict.fromkeys(sorted(missing), free)}
    if properties or schema.get("patternProperties"):
        if closes:
            schema.setdefault("additionalProperties", False)
    elif others is not False:
        free = _anything(room // FREE_ITEMS, FREE_DEPTH - 1) if _is_anything(others) else others
        least = max(FREE_ITEMS, schema.get("minProperties", 0))
        schema["maxProperties"] = min(schema.get("maxProperties", least), least)
        schema |= {"patternProperties": {FREE_NAME: free}, "additionalProperties": False}


def _is_anything(schema: Any) -> bool:
    return schema is True or schema == {}


def _narrow_integer(schema: dict[str, Any], room: int, closes: bool) -> None:
    if not {"exclusiveMinimum", "exclusiveMaximum", "minimum", "maximum"} & schema.keys():
        schema |= {"minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}


def _narrow_number(schema: dict[str, Any], room: int, closes: bool) -> None:
    schema.setdefault("multipleOf", FINEST_STEP)
    _narrow_integer(schema, room, closes)


_NARROW = {
    "string": _narrow_string,
    "array": _narrow_array,
    "object": _narrow_object,
    "integer": _narrow_integer,
    "number": _narrow_number,
}


def _anything(room: int, depth: int = FREE_DEPTH) -> dict[str, Any]:
    """Any value that is no deeper than `depth`."""
    narrow = partial(_narrowed, room=room, closes=True)
    found = [narrow({"type": kind}) for kind in ("string", "number", "boolean", "null")]
    if depth > 0:
        inner = _anything(room // FREE_ITEMS, depth - 1)
        names = {"patternProperties": {FREE_NAME: inner}, "additionalProperties": False}
        found.append({"type": "array", "items": inner, "maxItems": FREE_ITEMS})
        found.append({"type": "object", **names, "maxProperties": FREE_ITEMS})
    return {"anyOf": found}
