"""The body of `POST /v1/chat/completions`: parsed, checked against the limits, and made a `Request`.

A field that is not known is refused with the nearest known one; one that is known and not supported
yet is refused as such, unless it is null. What cannot change an answer (`user`, `metadata`, ...) is
accepted and left unread. Knows nothing of routing or of how answers are rendered.
"""

from typing import Any

from pydantic import Field, ValidationError

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.completion import Request
from pinnace.server.faults import request_error_of
from pinnace.server.shapes import (
    ChatMessage,
    NotStored,
    ResponseFormat,
    Shape,
    Stop,
    StreamOptions,
    Tool,
    ToolChoice,
    chosen_function,
)

_INT64 = 2**63


class ChatRequest(Shape):
    """A chat completion request, in OpenAI's fields."""

    model: str = Field(min_length=1, max_length=256)
    messages: tuple[ChatMessage, ...] = Field(min_length=1, fail_fast=True)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: Stop = None
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: tuple[Tool, ...] | None = Field(default=None, max_length=128, fail_fast=True)
    tool_choice: ToolChoice = None
    response_format: ResponseFormat | None = None

    # Accepted and left unread: they cannot change an answer.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, Any] | None = Field(default=None, max_length=16)
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None
    store: NotStored = None

    # Known, and not supported yet: only null may be sent.
    logit_bias: None = None
    reasoning_effort: None = None
    verbosity: None = None
    modalities: None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True

    def to_request(self, limits: Limits, request_id: str) -> Request:
        """The request as backends read it.

        :param limits: the caps of `router.yaml`.
        :param request_id: what the completion and its ledger row are called.
        :raises RequestError: where it is over a limit, or its fields contradict each other.
        """
        self._check_fields()
        return Request(
            messages=self._messages_within(limits),
            id=request_id,
            max_tokens=self._max_tokens_within(limits),
            n=self._n_within(limits),
            temperature=self.temperature,
            top_p=self.top_p,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            stop=self.stop or (),
            seed=self.seed,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            tools=tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ()),
            tool_choice=self.tool_choice,
            response_format=self.response_format.to_format() if self.response_format else None,
        )

    def _check_fields(self) -> None:
        """Fields that need each other, or contradict each other."""
        if self.top_logprobs is not None and not self.logprobs:
            raise _wrong("top_logprobs", "needs logprobs to be true")
        if self.stream_options is not None and not self.stream:
            raise _wrong("stream_options", "needs stream to be true")
        if self.tool_choice is not None and not self.tools and self.tool_choice != "none":
            raise _wrong("tool_choice", "needs tools")
        if isinstance(self.tool_choice, dict):
            name = chosen_function(self.tool_choice)
            if name not in {tool.function.name for tool in self.tools or ()}:
                raise _wrong("tool_choice", f"names the function {name!r}, which is not in tools")

    def _messages_within(self, limits: Limits) -> tuple[Any, ...]:
        if len(self.messages) > limits.messages:
            raise _too_large("messages", limits.messages, len(self.messages))
        return tuple(message.to_message() for message in self.messages)

    def _max_tokens_within(self, limits: Limits) -> int:
        old, new = self.max_tokens, self.max_completion_tokens
        if old is not None and new is not None and old != new:
            raise _wrong("max_tokens", f"is {old!r} where max_completion_tokens is {new!r}: send one of them")
        tokens = new or old or min(limits.default_max_tokens, limits.max_tokens)
        if tokens > limits.max_tokens:
            raise _too_large("max_completion_tokens" if new else "max_tokens", limits.max_tokens, tokens)
        return tokens

    def _n_within(self, limits: Limits) -> int:
        n = self.n or 1
        if n > limits.n:
            raise _too_large("n", limits.n, n)
        return n


def parse_chat(body: bytes) -> ChatRequest:
    """Read a request's body.

    :raises RequestError: where it is not JSON, or not a chat request; names the first field at fault.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise request_error_of(error, ChatRequest) from None


def _wrong(param: str, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="invalid_value")


def _too_large(param: str, most: int, got: int) -> RequestError:
    return RequestError(f"{param}: expected at most {most}, got {got}", param=param, code="invalid_value")
