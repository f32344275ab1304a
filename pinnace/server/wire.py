"""The body of `POST /v1/chat/completions`: parsed, checked against the limits, and made a `Request`.

A field that is not known is refused with the nearest known one; one that is known and not supported
yet is refused as such, unless it is null. What cannot change an answer (`user`, `metadata`, ...) is
accepted and left unread. Knows nothing of routing or of how answers are rendered.
"""

from typing import Any

from pydantic import Field

from pinnace.config import Limits
from pinnace.models.completion import Request
from pinnace.router.diverse import Wish
from pinnace.server.diverse_wire import Diverse
from pinnace.server.generation import Choices, parsed, tokens_within, too_large, wrong_field
from pinnace.server.sampling import LogitBias
from pinnace.server.schemas import with_schemas_checked
from pinnace.server.shapes import (
    ChatMessage,
    ResponseFormat,
    Tool,
    ToolChoice,
    chosen_function,
)


class ChatRequest(Choices):
    """A chat completion request, in OpenAI's fields."""

    messages: tuple[ChatMessage, ...] = Field(min_length=1, fail_fast=True)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: tuple[Tool, ...] | None = Field(default=None, max_length=128, fail_fast=True)
    tool_choice: ToolChoice = None
    response_format: ResponseFormat | None = None
    parallel_tool_calls: bool | None = None
    logit_bias: LogitBias = None
    diverse: Diverse | None = None
    accept: float | None = Field(default=None, ge=0, le=1)

    # Known, and not supported yet: only null may be sent.
    reasoning_effort: None = None
    verbosity: None = None
    modalities: None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None

    def to_request(self, limits: Limits, request_id: str) -> Request:
        """The request as backends read it.

        :param limits: the caps of `router.yaml`.
        :param request_id: what the completion and its ledger row are called.
        :raises RequestError: where it is over a limit, or its fields contradict each other.
        """
        self._check_fields()
        request = Request(
            messages=self._messages_within(limits),
            id=request_id,
            max_tokens=self._max_tokens_within(limits),
            n=self.n_within(limits),
            priority=self.priority,
            **self.sampling_fields(),
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            tools=tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ()),
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls is not False,
            response_format=self.response_format.to_format() if self.response_format else None,
            logit_bias=self.logit_bias or {},
            accept=self.accept,
        )
        return with_schemas_checked(request, limits)

    def wish(self, limits: Limits) -> Wish | None:
        """The different answers that are asked for; None where one answer is.

        :raises RequestError: where they are over a limit, or what else is asked for does not go with them.
        """
        if self.diverse is None:
            return None
        for param, is_wrong, message in (
            ("stream", self.stream, "diverse answers are compared before any is sent: leave stream out"),
            ("n", self.n is not None, "diverse says how many answers: leave n out"),
            ("accept", self.accept is not None, "diverse takes what differs, however sure: leave accept out"),
            ("temperature", self.temperature == 0, "diverse needs answers that differ: more than 0"),
        ):
            if is_wrong:
                raise wrong_field(param, message)
        return self.diverse.to_wish(limits)

    def _check_prefix(self) -> None:
        """An answer can begin with a given text where it is the last turn, and no grammar is to hold."""
        begun = [at for at, message in enumerate(self.messages) if message.prefix]
        if begun and begun != [len(self.messages) - 1]:
            raise wrong_field(
                f"messages[{begun[0]}].prefix", "only the last message can be the answer's prefix"
            )
        is_held = self.response_format is not None and self.response_format.type != "text"
        if begun and (self.tools or is_held):
            raise wrong_field(f"messages[{begun[0]}].prefix", "does not go with tools or a response_format")

    def _check_fields(self) -> None:
        """Fields that need each other, or contradict each other."""
        self._check_prefix()
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong_field("top_logprobs", "needs logprobs to be true")
        self.check_stream_options()
        if self.tool_choice is not None and not self.tools and self.tool_choice != "none":
            raise wrong_field("tool_choice", "needs tools")
        if isinstance(self.tool_choice, dict):
            name = chosen_function(self.tool_choice)
            if name not in {tool.function.name for tool in self.tools or ()}:
                raise wrong_field("tool_choice", f"names the function {name!r}, which is not in tools")

    def _messages_within(self, limits: Limits) -> tuple[Any, ...]:
        if len(self.messages) > limits.messages:
            raise too_large("messages", limits.messages, len(self.messages))
        return tuple(message.to_message() for message in self.messages)

    def _max_tokens_within(self, limits: Limits) -> int:
        old, new = self.max_tokens, self.max_completion_tokens
        if old is not None and new is not None and old != new:
            raise wrong_field(
                "max_tokens", f"is {old!r} where max_completion_tokens is {new!r}: send one of them"
            )
        param = "max_completion_tokens" if new else "max_tokens"
        return tokens_within(limits, param, new or old, limits.default_max_tokens)


def parse_chat(body: bytes) -> ChatRequest:
    """Read a request's body.

    :raises RequestError: where it is not JSON, or not a chat request; names the first field at fault.
    """
    return parsed(body, ChatRequest)
