"""What goes into a backend and what comes out of it: plain frozen values.

Knows nothing of HTTP, of vLLM or of routing. The server turns OpenAI's wire into a `Request`
and `Delta`s back into the wire; backends turn a `Request` into `Delta`s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `extra` carries the wire's further fields (tool calls, names) unread."""

    role: Role
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


PREFIX = "prefix"
"""In a last assistant turn's `extra`: the answer has begun with its text, and is to go on from there."""


def is_begun(messages: Sequence[Message]) -> bool:
    """Whether the last turn is the beginning of the answer."""
    return bool(messages) and messages[-1].role == "assistant" and bool(messages[-1].extra.get(PREFIX))


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to run, as any backend understands it.

    A sampling field left at None takes the model card's default. `top_logprobs` is how many
    alternatives per position to return (0: the chosen token's log-probability alone; None: none).
    `is_read_whole` says that nobody looks at the answer before its end, so that deltas may be long.
    `deadline` is the moment of `time.monotonic` at which the request's time is over; nothing puts it off.
    `trace_headers` are the `traceparent` and `tracestate` of its trace, for whoever is asked on its behalf.
    `is_raw` says that the one message is text to go on with, not a turn of a chat: a backend that can leaves
    the chat template away.
    `priority` is 0 for interactive requests and 1 for batch. `caller` names the API key that asks, and only
    models in `allowed` may answer it (None: all).
    `adapter` is the number of the adapter that answers in its base's engine, 0 for the base itself.
    Of a `private` one no text is kept, whatever the ledger stores.
    `accept` is the confidence, 0 to 1, from which an answer is taken, in place of the bars of its route; None
    leaves those.
    """

    messages: tuple[Message, ...]
    id: str = ""
    max_tokens: int = 512
    n: int = 1
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    is_read_whole: bool = False
    is_raw: bool = False
    priority: int = 0
    caller: str = ""
    allowed: frozenset[str] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool = True
    response_format: Mapping[str, Any] | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    deadline: float | None = None
    trace_headers: tuple[tuple[str, str], ...] = ()
    adapter: int = 0
    private: bool = False
    accept: float | None = None

    def text(self) -> str:
        """The last user turn, or all turns where there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.content
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token: its text, natural log-probability, and the likeliest alternatives, best first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a backend counted for one completion, all choices together.

    `joules` is what a meter gave for it so far, None where nothing measures. `cached_tokens` are those
    of the prompt that were not read again, as an earlier prompt had begun with them.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    joules: float | None = None
    cached_tokens: int = 0


def total_tokens(usages: Iterable[Usage]) -> Usage:
    """The tokens of several completions together; joules have ledgers of their own."""
    found = list(usages)
    return Usage(
        sum(each.prompt_tokens for each in found),
        sum(each.completion_tokens for each in found),
        cached_tokens=sum(each.cached_tokens for each in found),
    )


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of one choice of an answer.

    `usage` is the running count of the whole completion so far, never a difference, so that an
    aborted completion is charged what its last delta says. A backend that learns the count only at
    the end (remote servers) leaves it None until then. `agreement` is the share that says the same of the
    samples that a backend drew for this choice, None where it drew no others.
    """

    text: str = ""
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    agreement: float | None = None
