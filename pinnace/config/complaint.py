"""Complaints: what pydantic found wrong, with its path and what was got, in plain words.

An unknown key is told with the nearest known one. No complaint quotes a secret.
"""

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from pinnace.config.adapter import ADAPTER, WHOLE
from pinnace.config.policy import MODES, POLICY_KEYS
from pinnace.config.section import Section

_SECRET = {"api_key", "api_keys", "base_url", "sha256"}
"""Keys whose values no message may quote."""


def complaint_of(error: ValidationError) -> str:
    """Everything that is wrong, in one line."""
    return "; ".join(_explain(detail) for detail in _telling(error.errors(include_url=False)))


def _telling(details: Sequence[Any]) -> list[Any]:
    """Without the lists that are too short only because something in them is wrong."""
    inside = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inside]


def _explain(detail: Any) -> str:
    location = [str(part) for part in detail["loc"]]
    tags = {"vllm", WHOLE, ADAPTER, "openai", "scripted", *MODES}
    path = ".".join(part for part in location if part not in tags) or "router.yaml"
    if detail["type"] == "extra_forbidden":
        if location[-2:-1] and location[-2] in MODES and location[-1] in POLICY_KEYS:
            return f"{path}: not a key of the mode {location[-2]!r}"
        nearest = difflib.get_close_matches(location[-1], _known_keys(), n=1)
        return f"{path}: unknown key" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}" + _got(detail["input"], location)


def _got(value: Any, location: list[str]) -> str:
    """What was got, where that is one value and no secret; a whole section can hold one."""
    if not isinstance(value, str | int | float | None) or not _SECRET.isdisjoint(location):
        return ""
    text = repr(value)
    return f", got {text if len(text) <= 120 else text[:117] + '...'}"


@cache
def _known_keys() -> list[str]:
    sections: list[type[BaseModel]] = [Section]
    keys: set[str] = set()
    while sections:
        section = sections.pop()
        sections.extend(section.__subclasses__())
        keys.update(section.model_fields)
    return sorted(keys - {"absent"})
