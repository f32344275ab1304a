"""JSON schemas as they go to a model: no titles, no default that JSON has not, objects closed to others."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pinnace.models.json_schema import LISTS, MAPS, SINGLE, parts_of


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema, closed; an object that says itself what else it takes keeps that."""
    return cast(dict[str, Any], _spare(dict(schema)))


def needs_all(schema: Mapping[str, Any]) -> bool:
    """Whether every object in it requires every property: what OpenAI's `strict` asks for."""
    return all(set(each.get("properties", ())) == set(each.get("required", ())) for each in _objects(schema))


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        found = cast(Mapping[str, Any], schema)
        if "properties" in found:
            yield found
        for part in parts_of(found):
            yield from _objects(part)


def _spare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_spare(each) for each in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    spare = {keyword: _spare_at(keyword, part) for keyword, part in cast(dict[str, Any], schema).items()}
    spare.pop("title", None)
    if not _is_json(spare.get("default")):
        del spare["default"]
    return {"additionalProperties": False, **spare} if "properties" in spare else spare


def _is_json(value: Any) -> bool:
    """Whether JSON has it: it has neither NaN nor infinity."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _spare_at(keyword: str, part: Any) -> Any:
    if keyword in MAPS:
        return {name: _spare(inner) for name, inner in part.items()}
    return _spare(part) if keyword in LISTS or keyword in SINGLE else part
