"""Fields of how tokens are drawn and where they end, checked by hand: stop strings and logit biases.

Knows nothing of the requests that they are part of.
"""

from typing import Annotated, cast

from pydantic import BeforeValidator, WithJsonSchema

from pinnace.server.shapes import wrong


def _stop_strings(value: object) -> object:
    """One string or up to four; none may be empty, since that would stop everywhere."""
    if value is None:
        return None
    strings: object = [value] if isinstance(value, str) else value
    if not isinstance(strings, list) or len(cast(list[object], strings)) > 4:
        raise wrong("expected a string or a list of at most 4 strings")
    if not all(isinstance(item, str) and item for item in cast(list[object], strings)):
        raise wrong("expected every stop string to be a string that is not empty")
    return tuple(cast(list[object], strings))


_STOP = {"type": "string", "minLength": 1}
Stop = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_stop_strings),
    WithJsonSchema({"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": 4}, {"type": "null"}]}),
]


MOST_BIASES = 300


def _logit_bias(value: object) -> object:
    """Token ids, as JSON's keys are text, with what is added to their logits."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(cast(dict[object, object], value)) > MOST_BIASES:
        raise wrong(f"expected at most {MOST_BIASES} token ids, each with a number")
    return {_token_id(key): _bias(bias) for key, bias in cast(dict[object, object], value).items()}


def _token_id(key: object) -> int:
    if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) <= 9:
        return int(key)
    raise wrong("expected every key to be a token id such as '42'")


def _bias(bias: object) -> float:
    if isinstance(bias, int | float) and not isinstance(bias, bool) and -100 <= bias <= 100:
        return float(bias)
    raise wrong("expected every bias to be a number from -100 to 100")


_BIASES = {
    "type": "object",
    "propertyNames": {"pattern": "^[0-9]{1,9}$"},
    "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    "maxProperties": MOST_BIASES,
}
LogitBias = Annotated[
    dict[int, float] | None,
    BeforeValidator(_logit_bias),
    WithJsonSchema({"anyOf": [_BIASES, {"type": "null"}]}),
]
