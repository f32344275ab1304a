"""From what pydantic found wrong with a body to one `RequestError`: the field, expected, got.

Knows pydantic's error types and nothing of any particular field.
"""

import difflib
import reprlib
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pinnace.errors import RequestError

_LONGEST_NAME = 64
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def request_error_of(error: ValidationError, model: type[BaseModel]) -> RequestError:
    """The most telling fault in `error`.

    That is what is known and not supported, since it explains fields that are not known; then one of these,
    since it explains a missing one.
    """
    details = error.errors(include_url=False)
    order = ("unsupported", "extra_forbidden")
    telling = [d for kind in order for d in details if d["type"] == kind]
    return _explain((telling or details)[0], model)


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> RequestError:
    param = param_of(detail["loc"])
    match detail["type"]:
        case "json_invalid":
            return RequestError(f"The body is not valid JSON: {_reason(detail)}", code="invalid_json")
        case "model_type" if param is None:
            return RequestError(f"The body must be a JSON object, got {_short.repr(detail['input'])}")
        case "extra_forbidden":
            return _unknown(param or "", detail, model)
        case "missing":
            return RequestError(f"{param}: is required", param=param, code="missing_required_parameter")
        case "none_required":
            return _unsupported(param, "not supported yet: leave it out")
        case "unsupported":
            return _unsupported(param, detail["msg"])
        case "wrong_value":
            return _wrong(param, detail["msg"], detail)
        case _:
            return _wrong(param, _expected(detail), detail)


def param_of(location: tuple[int | str, ...]) -> str | None:
    """A field as OpenAI names it: `messages[0].content`; None for the body itself.

    What begins with `~` is the tag of a form that a field may have, and no part of its name.
    """
    named = [part for part in location if isinstance(part, int) or not part.startswith("~")]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_NAME]}" for part in named)
    return path.removeprefix(".") or None


def _expected(detail: ErrorDetails) -> str:
    """Pydantic's message, in the words that all our messages begin with."""
    bounds = detail.get("ctx", {})
    match detail["type"]:
        case "too_short" | "string_too_short":
            return f"expected a length of at least {bounds['min_length']}"
        case "too_long" | "string_too_long":
            return f"expected a length of at most {bounds['max_length']}"
        case "string_pattern_mismatch":
            return f"expected a string that matches {bounds['pattern']}"
        case _:
            return "expected " + detail["msg"].removeprefix("Input should be ")


def _reason(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("error", detail["msg"]))


def _unknown(param: str, detail: ErrorDetails, model: type[BaseModel]) -> RequestError:
    name = str(detail["loc"][-1])[:_LONGEST_NAME]
    nearest = difflib.get_close_matches(name, sorted(set(_field_names(model))), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return RequestError(f"{param}: unknown field{hint}", param=param, code="unknown_parameter")


def _unsupported(param: str | None, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="unsupported_parameter")


def _wrong(param: str | None, message: str, detail: ErrorDetails) -> RequestError:
    return RequestError(
        f"{param or 'The body'}: {message}, got {_short.repr(detail['input'])}",
        param=param,
        code="invalid_value",
    )


def _field_names(annotation: Any) -> Iterator[str]:
    """Every field name of a model and of the models inside it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield field.alias or name
            yield from _field_names(field.annotation)
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for inner in typing.get_args(annotation):
            yield from _field_names(inner)
