"""What a remote server says went wrong, as an error of ours that may be shown: one short line, no key.

Only what says itself to be an error message is quoted, and a refused key's answer not even then. Pure.
"""

import json
from http import HTTPStatus
from typing import Any, cast

from pinnace.errors import BackendError, BackendUnavailableError, ContextTooLongError, RequestError

BODY_BYTES = 4096
_LONGEST = 200
_REFUSED_KEY = (401, 403)
_TOO_LONG = "context_length_exceeded"
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_BROKEN_BELOW_500 = (401, 403, 404, 408)
_REFUSES_A_FIELD = (400, 422)
_REFUSALS = ("support", "unknown", "unrecognized", "not permitted", "unexpected", "instead")


class AttemptError(Exception):
    """How one attempt failed: `error` is what the request ends with if it was the last.

    :param is_transient: whether asking again may help.
    :param retry_after_s: for how long the server asks to be left alone.
    :param is_alive: the server works, and it is this request that it does not answer.
    :param field: the field of the request that the server does not know, where it says so.
    """

    def __init__(
        self,
        error: BackendError | RequestError,
        *,
        is_transient: bool = False,
        retry_after_s: float | None = None,
        is_alive: bool = False,
        field: str | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.is_transient = is_transient
        self.retry_after_s = retry_after_s
        self.is_alive = is_alive
        self.field = field


def fault_of_status(
    name: str, status: int, body: bytes, secret: str, *, retry_after_s: float | None, max_tokens_field: str
) -> AttemptError:
    """What an answer with an error status means for the attempt; see `error_of_status`."""
    return AttemptError(
        error_of_status(name, status, body, secret),
        is_transient=status in _TRANSIENT,
        retry_after_s=retry_after_s,
        is_alive=400 <= status < 500 and status not in _BROKEN_BELOW_500,
        field=max_tokens_field if _is_refused(max_tokens_field, status, body) else None,
    )


def error_of_status(
    name: str, status: int, body: bytes, secret: str
) -> BackendUnavailableError | ContextTooLongError:
    """The error for an answer with an error status.

    :param name: the fleet member.
    :param body: its first `BODY_BYTES` bytes.
    :param secret: the key that it must not show; empty where there is none.
    """
    said = f"{name}: answered {status} {_phrase(status)}".rstrip()
    if status in _REFUSED_KEY:
        return BackendUnavailableError(f"{said}: it refuses the key or the model")
    error = _error_in(body)
    message = _line(_message(error), secret)
    if status < 500 and (_field(error, "code") == _TOO_LONG or "context length" in message):
        return ContextTooLongError(f"{name}: {message}", param="messages", code=_TOO_LONG)
    return BackendUnavailableError(f"{said}: {message}" if message else said)


def error_of_event(name: str, error: Any, secret: str) -> BackendError:
    """The error for an `error` that came in the middle of an answer."""
    message = _line(_message(error), secret)
    return BackendError(f"{name}: broke off: {message}" if message else f"{name}: broke off with an error")


def _is_refused(field: str, status: int, body: bytes) -> bool:
    """Whether the server says that it does not know `field`, rather than that its value is wrong."""
    if status not in _REFUSES_A_FIELD:
        return False
    error = _error_in(body)
    said = _message(error) or body.decode("utf-8", "replace")
    if _field(error, "param") == field and _field(error, "code") == "unsupported_parameter":
        return True
    return field in said and any(word in said.lower() for word in _REFUSALS)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _error_in(body: bytes) -> Any:
    """What stands under `error` in a JSON body, or the body itself where it has none."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _field(parsed, "error") or parsed


def _message(error: Any) -> str:
    message = error if isinstance(error, str) else _field(error, "message")
    return message if isinstance(message, str) else ""


def _field(value: Any, key: str) -> Any:
    return cast(dict[str, Any], value).get(key) if isinstance(value, dict) else None


def _line(text: str, secret: str) -> str:
    """`text` as one line of at most 200 printable characters, the secret struck out."""
    plain = text.replace(secret, "***") if secret else text
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
