"""JSON schemas as clients send them: what lies within what, and whether one may be taken on at all.

A schema is code from a stranger: here its size, its shape and its references are checked before anything
walks it again. Knows nothing of grammars, of which keywords a compiler takes, or of answers.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from pinnace.config import Limits
from pinnace.errors import RequestError

Schema = Mapping[str, Any]

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords that have a schema per name."""
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords that have a list of schemas."""
SINGLE = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords that have one schema; some may be a boolean, `items` also a list."""
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_REFERENCES = ("$dynamicRef", "$recursiveRef")


def parts_of(schema: Schema) -> Iterator[Any]:
    """The schemas that lie directly within `schema`, booleans among them."""
    for keyword in MAPS:
        yield from schema.get(keyword, {}).values()
    for keyword in LISTS:
        yield from schema.get(keyword, ())
    for keyword in SINGLE:
        if keyword in schema:
            part = schema[keyword]
            yield from cast(list[Any], part) if isinstance(part, list) else (part,)


def target_of(root: Any, reference: str) -> Any:
    """What a local reference (`#`, `#/$defs/name`) points at.

    :raises KeyError: when nothing is there.
    """
    if reference == "#":
        return root
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            found = cast(Any, found[int(name)] if isinstance(found, list) else found[name])
        except (ValueError, IndexError, TypeError):
            raise KeyError(reference) from None
    return found


def check_schema(schema: Any, param: str, limits: Limits) -> int:
    """Refuse a schema that is too large, not of the form of one, or refers to what is not in it.

    :param param: the request's field that it came in.
    :returns: its size in bytes.
    :raises RequestError: names `param`, what was expected and what was got.
    """
    size = _size(schema, param, limits)
    _Check(schema, param, limits).run()
    return size


def _size(schema: Any, param: str, limits: Limits) -> int:
    level: list[Any] = [schema]
    for _ in range(limits.schema_depth + 1):
        level = [part for node in level for part in _members(node)]
    if level:
        raise _wrong(param, f"expected at most {limits.schema_depth} levels of JSON, got more")
    try:
        size = len(json.dumps(schema, allow_nan=False, separators=(",", ":")))
    except ValueError:
        raise _wrong(param, "expected numbers that JSON has, got one that is not finite") from None
    if size > limits.schema_bytes:
        raise _wrong(param, f"expected at most {limits.schema_bytes} bytes of schema, got {size}")
    return size


def _members(node: Any) -> list[Any]:
    """The objects and lists that lie directly in a JSON value."""
    if isinstance(node, dict):
        found = list(cast(dict[str, Any], node).values())
    else:
        found = cast(list[Any], node) if isinstance(node, list) else []
    return [each for each in found if isinstance(each, dict | list)]


class _Check:
    """One walk over a schema whose size is known to be bounded."""

    def __init__(self, root: Any, param: str, limits: Limits) -> None:
        self._root = root
        self._param = param
        self._limits = limits
        self._properties = 0
        self._listed = 0

    def run(self) -> None:
        waiting: list[Any] = [self._root]
        same_value: dict[int, list[Any]] = {}
        while waiting:
            schema = waiting.pop()
            if isinstance(schema, bool) or id(schema) in same_value:
                continue
            if not isinstance(schema, dict):
                raise self._wrong(f"expected every schema to be an object, got {schema!r:.60}")
            known = cast(dict[str, Any], schema)
            self._check_keywords(known)
            referred = self._referred(known)
            same_value[id(known)] = [*_same_value(known), *referred]
            waiting.extend((*parts_of(known), *referred))
        if _has_a_circle(same_value):
            raise self._wrong("expected every $ref to lead to a value, got one that comes back to itself")

    def _check_keywords(self, schema: Schema) -> None:
        for keyword in schema.keys() & _FORMS.keys():
            is_right, expected = _FORMS[keyword]
            if not is_right(schema[keyword]):
                raise self._wrong(f"expected {keyword} to be {expected}, got {schema[keyword]!r:.60}")
        self._properties += len(schema.get("properties", ()))
        self._listed += len(schema.get("enum", ()))
        self._check_at_most("properties", self._properties, self._limits.schema_properties)
        self._check_at_most("enum values", self._listed, self._limits.schema_enum)
        patterns: list[str] = [schema.get("pattern", ""), *schema.get("patternProperties", ())]
        longest = max(map(len, patterns))
        self._check_at_most("characters in a pattern", longest, self._limits.pattern_chars)
        for keyword in ("minItems", "minProperties"):
            self._check_at_most(keyword, schema.get(keyword, 0), self._limits.max_tokens)
        if any("\0" in pattern for pattern in patterns):
            raise self._wrong("expected patterns without NUL characters")

    def _referred(self, schema: Schema) -> list[Any]:
        """What the schema's `$ref` points at, if it has one."""
        for keyword in _REFERENCES:
            if keyword in schema:
                raise self._wrong(f"{keyword} is not supported, only $ref")
        if "$ref" not in schema:
            return []
        reference: str = schema["$ref"]
        if reference != "#" and not reference.startswith("#/"):
            raise self._wrong(f"expected every $ref to be local ('#/...'), got {reference!r:.60}")
        try:
            target = target_of(self._root, reference)
        except KeyError:
            raise self._wrong(f"the $ref {reference!r:.60} points at nothing") from None
        if not isinstance(target, dict | bool):
            raise self._wrong(f"the $ref {reference!r:.60} points at no schema")
        return [target]

    def _check_at_most(self, what: str, got: int, most: int) -> None:
        if got > most:
            raise self._wrong(f"expected at most {most} {what}, got {got}")

    def _wrong(self, message: str) -> RequestError:
        return _wrong(self._param, message)


def _same_value(schema: Schema) -> list[Any]:
    """The schemas within `schema` that are about the same value as it."""
    found: list[Any] = []
    for keyword in _SAME_VALUE:
        part: Any = schema.get(keyword, [])
        found.extend(cast(list[Any], part) if isinstance(part, list) else [part])
    return found


def _has_a_circle(edges: Mapping[int, Sequence[Any]]) -> bool:
    """Whether a walk along `edges` (from the id of a schema) can come back; each is walked once."""
    done: set[int] = set()
    for start in edges:
        path: list[tuple[int, Iterator[Any]]] = [(start, iter(edges[start]))] if start not in done else []
        above = {start}
        while path:
            node, rest = path[-1]
            step = next(rest, None)
            if step is None:
                path.pop()
                above.discard(node)
                done.add(node)
            elif id(step) in above:
                return True
            elif id(step) not in done:
                above.add(id(step))
                path.append((id(step), iter(edges.get(id(step), ()))))
    return False


def _wrong(param: str, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="invalid_value")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value % 1 == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_type(value: Any) -> bool:
    names = cast(list[Any], value) if isinstance(value, list) else [value]
    return bool(names) and all(name in TYPES for name in names)


def _is_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in cast(list[Any], value))


def _is_full_list(value: Any) -> bool:
    return isinstance(value, list) and bool(cast(list[Any], value))


_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one or more of {', '.join(TYPES)}"),
    "$ref": (_is_of(str), "a string"),
    "enum": (_is_full_list, "a list that is not empty"),
    "required": (_is_list_of_names, "a list of names"),
    "pattern": (_is_of(str), "a string"),
    "format": (_is_of(str), "a string"),
    "uniqueItems": (_is_of(bool), "a boolean"),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys(MAPS, (_is_of(dict), "an object")),
    **dict.fromkeys(LISTS, (_is_full_list, "a list that is not empty")),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        (_is_count, "a whole number of at least 0"),
    ),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "a number")),
}
"""What the keywords that are read here and later must look like; others are left to the compiler."""
