"""OpenAI's error envelope: every failure of the endpoint, as a status and four fields.

::

    PinnaceError
    ├── RefusedError      the server will not take the request: carries its envelope
    └── ClientGoneError   nobody is left to answer

Knows which error of `pinnace.errors` has which status, and nothing of how a response is sent.
"""

import json
from dataclasses import dataclass

from starlette.exceptions import HTTPException

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
from pinnace.errors import PinnaceError as _PinnaceError

RETRY_SOON_S = 5
"""What `Retry-After` says where nothing is known of how long it will take."""

CLIENT_GONE = 499
"""The code under which a request whose client left is counted; it is never sent."""

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One error as it leaves: `{"error": {"message", "type", "param", "code"}}` under a status."""

    status: int
    message: str
    type: str
    code: str | None
    param: str | None = None
    retry_after: int | None = None
    headers: tuple[Header, ...] = ()

    def body(self) -> bytes:
        """The JSON of it."""
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": fields}).encode()

    def all_headers(self) -> list[Header]:
        """`headers`, and `Retry-After` where there is one."""
        retry = [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]
        return [*self.headers, *retry]


class RefusedError(_PinnaceError):
    """The server will not take the request."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope.message)
        self.envelope = envelope


class ClientGoneError(_PinnaceError):
    """The client closed the connection before its answer was whole."""


def refused(
    status: int, message: str, *, code: str, retry_after: int | None = None, headers: tuple[Header, ...] = ()
) -> RefusedError:
    """A refusal with the type that OpenAI gives this status."""
    kind = {429: "rate_limit_error", 503: "server_error"}.get(status, "invalid_request_error")
    return RefusedError(Envelope(status, message, kind, code, retry_after=retry_after, headers=headers))


def envelope_of(error: Exception) -> Envelope:
    """The envelope of any error. One that is not ours is our bug: it says so, and nothing of its inside."""
    match error:
        case RefusedError():
            return error.envelope
        case RequestError():
            return _of_request_error(error)
        case BackendError():
            return _of_backend_error(error)
        case HTTPException():
            return _of_http_exception(error)
        case _:
            return Envelope(
                500, "The server has a bug; its log has the details.", "server_error", "internal_error"
            )


_REQUEST_CODES: dict[type[RequestError], str] = {
    UnknownModelError: "model_not_found",
    ContextTooLongError: "context_length_exceeded",
    NoCapableModelError: "no_capable_model",
}


def _of_request_error(error: RequestError) -> Envelope:
    is_unknown_model = isinstance(error, UnknownModelError)
    return Envelope(
        status=404 if is_unknown_model else 400,
        message=str(error),
        type="invalid_request_error",
        code=error.code or _REQUEST_CODES.get(type(error)),
        param=error.param or ("model" if is_unknown_model else None),
    )


def _of_backend_error(error: BackendError) -> Envelope:
    match error:
        case BackendFullError():
            return Envelope(503, str(error), "server_error", "model_full", retry_after=RETRY_SOON_S)
        case BackendUnavailableError():
            return Envelope(503, str(error), "server_error", "backend_unavailable", retry_after=RETRY_SOON_S)
        case DeadlineExceededError():
            return Envelope(504, str(error), "server_error", "deadline_exceeded")
        case BackendTimeoutError():
            return Envelope(504, str(error), "server_error", "backend_timeout")
        case _:
            return Envelope(502, str(error), "server_error", "backend_error")


def _of_http_exception(error: HTTPException) -> Envelope:
    """What Starlette's routing raises: no such path, or not with this method."""
    headers = tuple((k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items())
    message, code = {
        404: ("There is no such path here; GET /openapi.json lists those that there are.", "not_found"),
        405: (
            "This path does not take this method; the Allow header says which it takes.",
            "method_not_allowed",
        ),
    }.get(error.status_code, (error.detail, None))
    return Envelope(error.status_code, message, "invalid_request_error", code, headers=headers)
