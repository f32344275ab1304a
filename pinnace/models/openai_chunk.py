"""The part of OpenAI's streamed wire that a remote backend reads; anything else in it is passed over.

A remote server can send what it likes: numbers are finite and bounded here, and tool calls have the
shape that they are read by later.
"""

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field, FiniteFloat

from pinnace.models.completion import Delta, FinishReason, TokenLogprob, Usage

MOST_TOKENS = 10**9


class TopLogprob(BaseModel):
    """One alternative at a position."""

    token: str
    logprob: FiniteFloat


class TokenEntry(TopLogprob):
    """One generated token."""

    top_logprobs: list[TopLogprob] = Field(default_factory=list[TopLogprob])

    def to_token(self) -> TokenLogprob:
        """The same as a `TokenLogprob`: likeliest alternatives first, whatever order they came in."""
        top = sorted(((t.token, min(t.logprob, 0.0)) for t in self.top_logprobs), key=lambda pair: -pair[1])
        return TokenLogprob(self.token, min(self.logprob, 0.0), tuple(top))


class Logprobs(BaseModel):
    """The tokens of one chunk."""

    content: list[TokenEntry] | None = None


class FunctionPiece(BaseModel):
    """What one chunk adds to the call of a function."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(BaseModel):
    """What one chunk adds to one tool call."""

    index: int | None = Field(default=None, ge=0, le=1023)
    id: str | None = None
    type: str | None = None
    function: FunctionPiece | None = None


class ChoiceDelta(BaseModel):
    """What one chunk adds to one choice."""

    content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class Choice(BaseModel):
    """One choice in a chunk."""

    index: int = 0
    delta: ChoiceDelta = ChoiceDelta()
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None

    def tokens(self) -> int:
        """How many tokens it adds, as far as can be told without the server's own count."""
        entries = (self.logprobs.content if self.logprobs else None) or ()
        return len(entries) or int(bool(self.delta.content or self.delta.tool_calls))

    def to_delta(self, usage: Usage) -> Delta:
        """The same as a `Delta`."""
        entries = (self.logprobs.content if self.logprobs else None) or ()
        return Delta(
            text=self.delta.content or "",
            index=self.index,
            logprobs=tuple(entry.to_token() for entry in entries),
            finish_reason=self.finish_reason,
            usage=usage,
            tool_calls=tuple(piece.model_dump(exclude_none=True) for piece in self.delta.tool_calls or ()),
        )


class PromptDetails(BaseModel):
    """What the remote server says of the prompt's tokens."""

    cached_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)


class ReportedUsage(BaseModel):
    """The remote server's own count."""

    prompt_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)
    completion_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)
    prompt_tokens_details: PromptDetails | None = None

    def over(self, guessed: Usage) -> Usage:
        """What is counted, and where nothing is, what was guessed."""
        details = self.prompt_tokens_details or PromptDetails(cached_tokens=guessed.cached_tokens)
        prompt = guessed.prompt_tokens if self.prompt_tokens is None else self.prompt_tokens
        written = guessed.completion_tokens if self.completion_tokens is None else self.completion_tokens
        return Usage(prompt, written, cached_tokens=min(details.cached_tokens or 0, prompt))


class Chunk(BaseModel):
    """One `data:` event."""

    choices: list[Choice] = Field(default_factory=list[Choice])
    usage: ReportedUsage | None = None
    error: Any = None

    def deltas(self, usage: Usage) -> list[Delta]:
        """One delta per choice that says something, or one without text where the chunk only counts."""
        spoken = [c.to_delta(usage) for c in self.choices if c.tokens() or c.finish_reason is not None]
        return spoken or ([Delta(usage=usage)] if self.usage is not None else [])

    def count(self, usage: Usage) -> Usage:
        """The running count after this chunk: the server's own, else one token per piece of content."""
        spoken = usage.completion_tokens + sum(choice.tokens() for choice in self.choices)
        guessed = replace(usage, completion_tokens=spoken)
        return guessed if self.usage is None else self.usage.over(guessed)
