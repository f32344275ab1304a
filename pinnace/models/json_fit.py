"""Whether a JSON value fits a JSON schema: what an answer is compared with once it is whole. Pure.

Reads the keywords of 2020-12 about types, values, objects, arrays and choices; `format`, `contains`,
`dependent...` and `unevaluated...` are passed over. Schema and value are both a stranger's, so the work is
bounded: after `MOST_STEPS` comparisons what is left passes, a value nested deeper than `DEEPEST` does not
fit, and a `pattern` that could be slow is not tried (others count by what they cost at worst).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pinnace.models.json_schema import target_of

MOST_STEPS = 20_000
DEEPEST = 128
LONGEST = 1_000
"""Characters of a string that a pattern is tried on."""
MOST_OPTIONS = 3
"""Parts of a pattern that may be there or not: each doubles the work."""
PAIRS_PER_STEP = 512
"""How many pairs of characters a pattern looks at in the time of one comparison."""
MEMBERS_PER_STEP = 8
"""How many listed values or names are looked at in that time."""
_LISTED = ("enum", "properties", "required")
_LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_SLOW = re.compile(r"\((?!\?:)|\)[*+?{]")
_ENDLESS = re.compile(r"[*+]|\{\d*,\d*\}")


@dataclass(frozen=True, slots=True)
class _Quick:
    """A pattern that may be tried. `weight` is its work, at worst, per pair of characters of the text."""

    pattern: re.Pattern[str]
    weight: int


def fits(value: Any, schema: Any) -> bool:
    """Whether a parsed JSON value fits a JSON schema, as far as the keywords above go."""
    return _Fit(schema).fits(value, schema, 0)


class _Fit:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0
        self._patterns: dict[str, _Quick | None] = {}

    def fits(self, value: Any, schema: Any, depth: int) -> bool:
        self._steps += 1
        if not isinstance(schema, Mapping):  # none, or a boolean that lets all or nothing pass
            return schema is not False
        if self._steps > MOST_STEPS:
            return True
        known = cast(Mapping[str, Any], schema)
        self._steps += sum(len(known.get(keyword, ())) for keyword in _LISTED) // MEMBERS_PER_STEP
        return (
            depth <= DEEPEST
            and _is_of_type(value, known.get("type"))
            and ("const" not in known or is_same(value, known["const"]))
            and ("enum" not in known or any(is_same(value, each) for each in known["enum"]))
            and self._fits_choices(value, known, depth + 1)
            and self._fits_kind(value, known, depth + 1)
        )

    def _fits_choices(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        def fitting(keyword: str) -> list[bool]:
            return [self.fits(value, each, depth) for each in schema[keyword]]

        return (
            ("$ref" not in schema or self._fits_reference(value, schema["$ref"], depth))
            and ("allOf" not in schema or all(fitting("allOf")))
            and ("anyOf" not in schema or any(fitting("anyOf")))
            and ("oneOf" not in schema or sum(fitting("oneOf")) == 1)
            and ("not" not in schema or not self.fits(value, schema["not"], depth))
            and ("if" not in schema or self._fits_condition(value, schema, depth))
        )

    def _fits_reference(self, value: Any, reference: str, depth: int) -> bool:
        try:
            return self.fits(value, target_of(self._root, reference), depth)
        except KeyError:
            return True

    def _fits_condition(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        branch = "then" if self.fits(value, schema["if"], depth) else "else"
        return self.fits(value, schema.get(branch), depth)

    def _fits_kind(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        if isinstance(value, dict):
            return self._fits_object(cast(dict[str, Any], value), schema, depth)
        if isinstance(value, list):
            return self._fits_items(cast(list[Any], value), schema, depth)
        if isinstance(value, str):
            return _is_between(len(value), schema, "Length") and (
                "pattern" not in schema or self._matches(value, schema["pattern"])
            )
        return isinstance(value, bool) or value is None or _fits_number(value, schema)

    def _fits_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        patterns: Mapping[str, Any] = schema.get("patternProperties") or {}
        self._steps += len(value) * len(patterns) // MEMBERS_PER_STEP
        if self._steps > MOST_STEPS:
            return True
        others = [n for n in value if n not in properties and not any(self._matches(n, p) for p in patterns)]
        named = ((value[n], patterns[p]) for p in patterns for n in value if self._matches(n, p))
        return (
            all(name in value for name in schema.get("required") or ())
            and _is_between(len(value), schema, "Properties")
            and (schema.get("additionalProperties") is not False or not others)
            and all(self.fits(value[n], schema.get("additionalProperties"), depth) for n in others)
            and all(self.fits(n, schema.get("propertyNames"), depth) for n in value)
            and all(self.fits(value[n], part, depth) for n, part in properties.items() if n in value)
            and all(self.fits(each, part, depth) for each, part in named)
        )

    def _fits_items(self, value: Sequence[Any], schema: Mapping[str, Any], depth: int) -> bool:
        first: Sequence[Any] = schema.get("prefixItems") or ()
        rest: Any = schema.get("items")
        if isinstance(rest, list):
            first, rest = cast(list[Any], rest), schema.get("additionalItems")
        return (
            _is_between(len(value), schema, "Items")
            and (schema.get("uniqueItems") is not True or self._are_unique(value))
            and all(self.fits(each, part, depth) for each, part in zip(value, first, strict=False))
            and all(self.fits(each, rest, depth) for each in value[len(first) :])
        )

    def _are_unique(self, value: Sequence[Any]) -> bool:
        self._steps += len(value) ** 2 // 2
        if self._steps > MOST_STEPS:
            return True
        return not any(is_same(one, other) for i, one in enumerate(value) for other in value[:i])

    def _matches(self, text: str, pattern: str) -> bool:
        """Whether `pattern` is found in `text`; True where trying it could take long."""
        if pattern not in self._patterns:
            self._steps += len(pattern)
            self._patterns[pattern] = None if self._steps > MOST_STEPS else _quick(pattern)
        known = self._patterns[pattern]
        if known is None or len(text) > LONGEST:
            return True
        self._steps += 1 + len(text) ** 2 * known.weight // PAIRS_PER_STEP
        return self._steps > MOST_STEPS or known.pattern.search(text) is not None


_IS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def _is_of_type(value: Any, expected: Any) -> bool:
    if expected is None:
        return True
    names: Sequence[str] = [expected] if isinstance(expected, str) else expected
    return any(name not in _IS or _IS[name](value) for name in names)


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast(dict[str, Any], one), cast(dict[str, Any], other)
        return left.keys() == right.keys() and all(is_same(left[name], right[name]) for name in left)
    if isinstance(one, list) and isinstance(other, list):
        ours, theirs = cast(list[Any], one), cast(list[Any], other)
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _is_between(count: int, schema: Mapping[str, Any], what: str) -> bool:
    return schema.get(f"min{what}", 0) <= count <= schema.get(f"max{what}", count)


def _fits_number(value: float, schema: Mapping[str, Any]) -> bool:
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (step is None or _is_multiple(value, step))
    )


def _is_multiple(value: float, step: float) -> bool:
    try:
        times = value / step
        return abs(times - round(times)) <= 1e-9 * max(1.0, abs(times))
    except (OverflowError, ValueError):
        return False


def _quick(pattern: str) -> _Quick | None:
    """The pattern where Python's backtracking is at worst quadratic: no repeated groups, few choices."""
    if re.search(r"\\[1-9]", pattern):
        return None
    signs = _LITERAL.sub("x", pattern)
    if _SLOW.search(signs) or len(_ENDLESS.findall(signs)) > 1:
        return None
    signs = signs.replace("(?:", "(")
    ways = signs.count("|")
    options = signs.count("?") + (ways if signs.count("(") > 1 else 0)
    if options > MOST_OPTIONS:
        return None
    try:
        return _Quick(re.compile(pattern), (1 + ways) << options)
    except (re.error, RecursionError, OverflowError):
        return None
