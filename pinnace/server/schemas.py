"""The JSON schemas of a request, checked against the limits, whatever endpoint they came through."""

from collections.abc import Mapping
from typing import Any

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.completion import Request
from pinnace.models.json_schema import check_schema

CHAT = ("tools[{}].function.parameters", "response_format")
"""What a chat calls the two places that schemas come in."""


def with_schemas_checked(request: Request, limits: Limits, places: tuple[str, str] = CHAT) -> Request:
    """`request`, unless one of its schemas is no schema, or they are more than the limits let through.

    :param places: what the endpoint calls the parameters of tool `{}`, and the format of the answer.
    :raises RequestError: names the field at fault.
    """
    of_tools, of_answer = places
    total = 0
    for i, tool in enumerate(request.tools):
        parameters = tool["function"].get("parameters")
        if parameters is None:
            continue
        param = of_tools.format(i)
        total += check_schema(parameters, param, limits)
        if parameters.get("type", "object") != "object":
            raise _wrong(param, f"expected the type 'object', got {parameters['type']!r}")
    wrapper: Mapping[str, Any] = (request.response_format or {}).get("json_schema") or {}
    if "schema" in wrapper:
        total += check_schema(wrapper["schema"], of_answer, limits)
    if total > limits.schema_bytes:
        raise _wrong("tools", f"expected at most {limits.schema_bytes} bytes of schemas in all, got {total}")
    return request


def _wrong(param: str, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="invalid_value")
