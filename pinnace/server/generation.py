"""What the bodies of all endpoints that ask a model have in common: fields, and checks against the limits.

What cannot change an answer (`user`, `metadata`, ...) is accepted and left unread. Knows nothing of what
is asked: messages, a prompt or items are each endpoint's own.
"""

from typing import Any, TypeVar

from pydantic import Field, ValidationError

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.server.faults import request_error_of
from pinnace.server.sampling import Stop
from pinnace.server.shapes import NotStored, Shape, StreamOptions

_INT64 = 2**63
_S = TypeVar("_S", bound=Shape)


class Generation(Shape):
    """A request for an answer of a model, on any endpoint."""

    model: str = Field(min_length=1, max_length=256)
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)

    # Accepted and left unread: they cannot change an answer.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    service_tier: str | None = None
    store: NotStored = None

    @property
    def priority(self) -> int:
        """0 for interactive, 1 for batch, which OpenAI calls the service tier `flex`."""
        return int(self.service_tier == "flex")


class Choices(Generation):
    """A request for one or several choices, in the older two of OpenAI's shapes."""

    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: Stop = None
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True

    def sampling_fields(self) -> dict[str, Any]:
        """How tokens are drawn and where they end, by the names of a `Request`'s fields."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "presence_penalty": self.presence_penalty or 0.0,
            "frequency_penalty": self.frequency_penalty or 0.0,
            "stop": self.stop or (),
            "seed": self.seed,
        }

    def check_stream_options(self) -> None:
        """Stream options go with a stream.

        :raises RequestError: where there is none.
        """
        if self.stream_options is not None and not self.stream:
            raise wrong_field("stream_options", "needs stream to be true")

    def n_within(self, limits: Limits) -> int:
        """How many choices.

        :raises RequestError: where they are more than `limits.n`.
        """
        n = self.n or 1
        if n > limits.n:
            raise too_large("n", limits.n, n)
        return n


def parsed(body: bytes, shape: type[_S]) -> _S:
    """Read a request's body.

    :raises RequestError: where it is not JSON, or not of this shape; names the first field at fault.
    """
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise request_error_of(error, shape) from None


def tokens_within(limits: Limits, param: str, asked: int | None, default: int) -> int:
    """How many tokens an answer may have; `default` where the field `param` does not say.

    :raises RequestError: where they are more than `limits.max_tokens`.
    """
    tokens = asked or min(default, limits.max_tokens)
    if tokens > limits.max_tokens:
        raise too_large(param, limits.max_tokens, tokens)
    return tokens


def wrong_field(param: str, message: str) -> RequestError:
    """The error of a field that contradicts another."""
    return RequestError(f"{param}: {message}", param=param, code="invalid_value")


def too_large(param: str, most: int, got: int) -> RequestError:
    """The error of a field that is over its limit."""
    return RequestError(f"{param}: expected at most {most}, got {got}", param=param, code="invalid_value")
