"""What an endpoint says went wrong, as the error that the line in this process would raise. Pure.

Its words are quoted as `pinnace.models.openai_fault` quotes them: one short line, and never the key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from pinnace.agents.chat_wire import CHOICE_FIELD
from pinnace.errors import (
    BackendError,
    BackendFullError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    DeadlineExceededError,
    NoCapableModelError,
    RequestError,
    UnknownModelError,
)
from pinnace.models.openai_fault import error_of_event, error_of_status, fault_of_status

Kind = type[RequestError] | type[BackendError]

_KINDS: Mapping[str, Kind] = {
    "model_not_found": UnknownModelError,
    "no_capable_model": NoCapableModelError,
    "context_length_exceeded": ContextTooLongError,
    "model_full": BackendFullError,
    "backend_unavailable": BackendUnavailableError,
    "deadline_exceeded": DeadlineExceededError,
    "backend_timeout": BackendTimeoutError,
    "backend_error": BackendError,
}
"""By the code of the envelope, as `pinnace.server.envelope` writes it."""
_TOO_LATE = (408, 504)
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call was refused. `unknown` is the field that the endpoint does not know, where it says so.

    `wait_s` is after how long it asks to be asked again; None where it does not, or that cannot help.
    """

    error: RequestError | BackendError
    unknown: str | None = None
    wait_s: float | None = None


class _Fields(BaseModel):
    param: Any = None
    code: Any = None


class _Envelope(BaseModel):
    error: _Fields


def refusal_of(
    name: str, status: int, body: bytes, secret: str, *, wait_s: float | None, fields: Sequence[str]
) -> Refusal:
    """What an error status means.

    :param name: the endpoint.
    :param body: its first bytes.
    :param secret: the key that no error may show; empty where there is none.
    :param wait_s: what its `Retry-After` says.
    :param fields: those of the request that not every endpoint knows.
    """
    said = str(error_of_status(name, status, body, secret))
    try:
        told = _Envelope.model_validate_json(body).error
    except ValidationError:
        told = _Fields()
    param, code = _shown(told.param, secret), _shown(told.code, secret)
    kind = _KINDS.get(code or "") or _kind_of(status)
    error = kind(said, param=param, code=code) if issubclass(kind, RequestError) else kind(said)
    faults = (
        fault_of_status(name, status, body, secret, retry_after_s=None, max_tokens_field=field)
        for field in fields
    )
    unknown = next((fault.field for fault in faults if fault.field is not None), None)
    if unknown is None and CHOICE_FIELD in fields and _is_of_the_format(status, param, said):
        unknown = CHOICE_FIELD
    return Refusal(error, unknown, wait_s if status in (429, 503) else None)


def _is_of_the_format(status: int, param: str | None, said: str) -> bool:
    """Whether a refusal is of the answer's format, whose kind others than a Pinnace do not know."""
    if status not in (400, 422) or (param or "").startswith(f"{CHOICE_FIELD}.choices"):
        return False
    return (param or "").startswith(CHOICE_FIELD) or CHOICE_FIELD in said or "'choice'" in said


def broken_off(name: str, told: Any, secret: str) -> RequestError | BackendError:
    """The error of an `error` that came in the middle of an answer."""
    error = error_of_event(name, told, secret)
    try:
        code = _shown(_Fields.model_validate(told).code, secret)
    except ValidationError:
        code = None
    return _KINDS.get(code or "", type(error))(str(error))


def _kind_of(status: int) -> Kind:
    if status == 429:
        return BackendFullError
    if status in _TOO_LATE:
        return BackendTimeoutError
    return RequestError if 400 <= status < 500 else BackendUnavailableError


def _shown(value: Any, secret: str) -> str | None:
    """A short text that is none of the key's business, else None."""
    if not isinstance(value, str) or len(value) > _LONGEST or (secret and secret in value):
        return None
    return value
