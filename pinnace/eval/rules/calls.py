"""Tool calls, in the manner of the Berkeley function-calling leaderboard (BFCL, its Python categories).

A gold call lists the values that are right for each argument; "" among them says that it may be left out.
Compared as BFCL's AST checker does, with the calls as they come in a structured answer: nothing is parsed
from source. What it does not know is whether a call would do the same as the gold one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pinnace.eval.rules.json_equal import parsed

Values = Sequence[Any]
Arguments = Mapping[str, Any]
TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
"""BFCL's type names; a float may be written as an integer."""
OMITTED = ""


def by_calls(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the calls are the gold ones, in any order; without a gold call, when nothing is called.

    :param answer: a JSON list of `{name, arguments}`; any other text is an answer without calls.
    :param expected: JSON of `functions`, per name `required` and `types` (per argument `[type, item type or
        null]`), and `calls`, a list of `{name: {argument: [right values]}}`.
    """
    gold = parsed(expected)
    said, wanted = said_calls(answer), list(gold["calls"])
    if len(said) != len(wanted):
        return 0.0
    for each in wanted:
        ((name, values),) = each.items()
        match = next((call for call in said if _is_call(call, name, values, gold["functions"][name])), None)
        if match is None:
            return 0.0
        said.remove(match)
    return 1.0


def said_calls(answer: str) -> list[Mapping[str, Any]]:
    """The calls in an answer's text; none where it is no list of calls."""
    value = parsed(answer)
    calls = cast(list[Any], value) if isinstance(value, list) else []
    return calls if all(isinstance(call, dict) and "name" in call for call in calls) else []


def _is_call(call: Mapping[str, Any], name: str, gold: Mapping[str, Values], function: Arguments) -> bool:
    arguments = call.get("arguments")
    if call["name"] != name or not isinstance(arguments, dict):
        return False
    given = cast(dict[str, Any], arguments)
    return (
        all(required in given for required in function["required"])
        and all(argument in given or OMITTED in values for argument, values in gold.items())
        and all(
            argument in gold
            and argument in function["types"]
            and _is_value(value, gold[argument], *function["types"][argument])
            for argument, value in given.items()
        )
    )


def _is_value(value: Any, right: Values, kind: str, item_kind: str | None) -> bool:
    """Whether a value is right and of its type; of the gold values' type, where they stand for a variable."""
    expected = TYPES[kind]
    if kind == "float" and type(value) is int:
        value = float(value)
    likely = _first_type(right)
    if type(value) is expected:
        is_variable = likely is not None and likely is not expected
        if item_kind is not None and not _has_items(value, right, TYPES[item_kind]):
            return False
    elif type(value) is likely:
        is_variable = True
    else:
        return False
    return value in right if is_variable else _is_right(value, right, item_kind)


def _is_right(value: Any, right: Values, item_kind: str | None) -> bool:
    if isinstance(value, dict):
        return _is_object(cast(Arguments, value), right)
    if isinstance(value, list) and item_kind == "dict":
        return _are_objects(cast(list[Any], value), right)
    return _plain(value) in [_plain(each) for each in right]


def _has_items(value: Sequence[Any], right: Values, kind: type) -> bool:
    """Whether the items are of their type, or of that of the gold ones."""
    return any(
        not isinstance(each, list)
        or all(type(item) is kind or type(item) is _first_type(cast(list[Any], each)) for item in value)
        for each in right
    )


def _first_type(values: Values) -> type[object] | None:
    return next((cast(type[object], type(each)) for each in values if each != OMITTED), None)


def _is_object(value: Arguments, right: Values) -> bool:
    """Whether an object is one of the gold ones, which list right values per key."""
    return any(isinstance(each, dict) and _fits(value, cast(Mapping[str, Values], each)) for each in right)


def _are_objects(value: Sequence[Any], right: Values) -> bool:
    """Whether a list of objects is one of the gold lists, in their order."""
    lists = (cast(list[Any], each) for each in right if isinstance(each, list))
    return any(
        len(value) == len(each)
        and all(
            isinstance(item, dict) and _is_object(cast(Arguments, item), [gold])
            for item, gold in zip(value, each, strict=True)
        )
        for each in lists
    )


def _fits(value: Arguments, gold: Mapping[str, Values]) -> bool:
    return all(key in gold and _plain(each) in map(_plain, gold[key]) for key, each in value.items()) and all(
        key in value or OMITTED in values for key, values in gold.items()
    )


def _plain(value: Any) -> Any:
    """A text without case, spaces and the marks , . / - _ * ^, so that "April 1, 2024" is "april 1 2024"; so
    the texts of a list; any other value as it is."""
    if isinstance(value, str):
        return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"')
    if isinstance(value, list):
        return [_plain(item) if isinstance(item, str) else item for item in cast(Iterable[Any], value)]
    return value
