"""The body of `POST /v1/responses`: parsed, checked against the limits, and made a `Request`.

Nothing is kept between requests: `store` and `previous_response_id` are refused, and no `store` is taken
for false. Knows nothing of routing or of how answers are rendered.
"""

from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from pinnace.config import Limits
from pinnace.models.completion import Message, Request
from pinnace.server.generation import Generation, tokens_within, too_large, wrong_field
from pinnace.server.responses_items import Choice, Item, ResponseTool, TextSettings, turns_of
from pinnace.server.schemas import with_schemas_checked
from pinnace.server.shapes import Shape

LOGPROBS = "message.output_text.logprobs"
_REASONING = "reasoning.encrypted_content"
_KEEPS_NONE = "this server keeps no responses"


def _form(value: object) -> str:
    return "~text" if isinstance(value, str) else "~items"


_Items = Annotated[tuple[Item, ...], Field(min_length=1, fail_fast=True)]
Input = Annotated[Annotated[str, Tag("~text")] | Annotated[_Items, Tag("~items")], Discriminator(_form)]


def _not_kept(value: object) -> object:
    if value is None:
        return value
    raise PydanticCustomError("unsupported", f"{_KEEPS_NONE}: send the whole conversation as input")


def _not_stored(value: object) -> object:
    if value is None or value is False:
        return value
    raise PydanticCustomError("unsupported", f"{_KEEPS_NONE}: leave it out or send false")


def _none_of_them(value: object) -> object:
    if isinstance(value, list):
        for each in cast(list[object], value):
            if each not in (LOGPROBS, _REASONING):
                raise PydanticCustomError("unsupported", "{what} is not supported", {"what": repr(each)[:80]})
        return tuple(cast(list[object], value))
    return value


NotKept = Annotated[None, BeforeValidator(_not_kept)]
Include = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_none_of_them),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"enum": [LOGPROBS, _REASONING]}}, {"type": "null"}]}
    ),
]


class ResponseStreamOptions(Shape):
    """What a stream carries besides the answer: padding, which this server never sends."""

    include_obfuscation: bool | None = None


class ResponsesRequest(Generation):
    """A request for a response, in OpenAI's fields."""

    input: Input
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    text: TextSettings | None = None
    tools: tuple[ResponseTool, ...] | None = Field(default=None, max_length=128, fail_fast=True)
    tool_choice: Choice = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: Include = None
    stream_options: ResponseStreamOptions | None = None
    store: Annotated[bool | None, BeforeValidator(_not_stored), WithJsonSchema({"enum": [False, None]})] = (
        None
    )

    parallel_tool_calls: bool | None = None
    truncation: Literal["disabled"] | None = None

    # Known, and not supported: only null may be sent.
    previous_response_id: NotKept = None
    conversation: NotKept = None
    background: Annotated[
        bool | None, BeforeValidator(_not_stored), WithJsonSchema({"enum": [False, None]})
    ] = None
    context_management: None = None
    max_tool_calls: None = None
    prompt: None = None
    reasoning: None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """The input; a string is one turn of the user."""
        return (Item(role="user", content=self.input),) if isinstance(self.input, str) else self.input

    @property
    def logprobs(self) -> int | None:
        """Alternatives per token to show; None shows no log-probabilities."""
        return (self.top_logprobs or 0) if LOGPROBS in (self.include or ()) else None

    def to_request(self, limits: Limits, request_id: str) -> Request:
        """The request as backends read it.

        :param limits: the caps of `router.yaml`.
        :param request_id: what the response and its ledger row are called.
        :raises RequestError: where it is over a limit, or its fields contradict each other.
        """
        self._check_fields(limits)
        form = self.text.format if self.text else None
        request = Request(
            messages=self._messages(),
            id=request_id,
            max_tokens=tokens_within(
                limits, "max_output_tokens", self.max_output_tokens, limits.default_max_tokens
            ),
            priority=self.priority,
            temperature=self.temperature,
            top_p=self.top_p,
            top_logprobs=self.logprobs,
            tools=tuple(tool.to_tool() for tool in self.tools or ()),
            tool_choice=self._tool_choice(),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            response_format=form.to_format() if form else None,
        )
        return with_schemas_checked(request, limits, ("tools[{}].parameters", "text.format"))

    def _messages(self) -> tuple[Message, ...]:
        first = [] if self.instructions is None else [Message("system", self.instructions)]
        return (*first, *turns_of(self.items))

    def _tool_choice(self) -> str | dict[str, Any] | None:
        """The choice as a chat has it; without tools there is none to make."""
        if not self.tools:
            return None
        if isinstance(self.tool_choice, dict):
            return {"type": "function", "function": {"name": self.tool_choice["name"]}}
        return self.tool_choice

    def _check_fields(self, limits: Limits) -> None:
        """Fields that need each other, or contradict each other."""
        if len(self.items) > limits.messages:
            raise too_large("input", limits.messages, len(self.items))
        if self.stream_options is not None and not self.stream:
            raise wrong_field("stream_options", "needs stream to be true")
        if self.top_logprobs and self.logprobs is None:
            raise wrong_field("top_logprobs", f"needs include to have {LOGPROBS!r}")
        if self.tool_choice == "required" and not self.tools:
            raise wrong_field("tool_choice", "needs tools")
        if isinstance(self.tool_choice, dict):
            name = self.tool_choice["name"]
            if name not in {tool.name for tool in self.tools or ()}:
                raise wrong_field("tool_choice", f"names the function {name!r}, which is not in tools")
