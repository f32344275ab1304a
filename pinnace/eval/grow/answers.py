"""How answers of a domain are scored: by what they look like. Pure.

A number is compared as a number, JSON as JSON, calls as calls, and all else as text whose case and
punctuation do not matter.
"""

import json
import re
from typing import Any

from pinnace.eval.rules.json_equal import BROKEN, parsed
from pinnace.eval.scoring import RuleName
from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING

_NUMBER = re.compile(r"[-−]?\$?[0-9][0-9,]*(?:\.[0-9]+)?%?\.?")
_CALL = re.compile(
    re.escape(OPENING)
    + r"(?P<name>[^\"]+)"
    + re.escape(AFTER_NAME)
    + r"(?P<arguments>.*?)"
    + re.escape(CLOSING),
    re.DOTALL,
)


def told(answer: str) -> str:
    """An answer as a live run has it: calls that are written as a model writes them become a JSON list."""
    calls = [_call(match) for match in _CALL.finditer(answer)]
    return json.dumps(calls, ensure_ascii=False) if calls else answer


def rule_of(gold: str) -> RuleName:
    """The rule for one right answer."""
    if _NUMBER.fullmatch(gold.strip()):
        return "number"
    return "json" if gold.lstrip()[:1] in ("{", "[") and parsed(gold) is not BROKEN else "exact"


def _call(match: re.Match[str]) -> dict[str, Any]:
    arguments = parsed(match["arguments"])
    return {"name": match["name"], "arguments": match["arguments"] if arguments is BROKEN else arguments}
