"""The part of OpenAI's streamed wire that a remote backend reads; anything else in it is passed over."""

from typing import Any

from pydantic import BaseModel, Field

from pinnace.models.completion import Delta, FinishReason, TokenLogprob, Usage


class TopLogprob(BaseModel):
    """One alternative at a position."""

    token: str
    logprob: float


class TokenEntry(TopLogprob):
    """One generated token."""

    top_logprobs: list[TopLogprob] = Field(default_factory=list[TopLogprob])


class Logprobs(BaseModel):
    """The tokens of one chunk."""

    content: list[TokenEntry] | None = None


class ChoiceDelta(BaseModel):
    """What one chunk adds to one choice."""

    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Choice(BaseModel):
    """One choice in a chunk."""

    index: int = 0
    delta: ChoiceDelta = ChoiceDelta()
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None

    def to_delta(self, usage: Usage) -> Delta:
        """The same as a `Delta`."""
        entries = (self.logprobs.content if self.logprobs else None) or ()
        return Delta(
            text=self.delta.content or "",
            index=self.index,
            logprobs=tuple(
                TokenLogprob(e.token, e.logprob, tuple((t.token, t.logprob) for t in e.top_logprobs))
                for e in entries
            ),
            finish_reason=self.finish_reason,
            usage=usage,
            tool_calls=tuple(self.delta.tool_calls or ()),
        )


class ReportedUsage(BaseModel):
    """The remote server's own count."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class Chunk(BaseModel):
    """One `data:` event."""

    choices: list[Choice] = Field(default_factory=list[Choice])
    usage: ReportedUsage | None = None
    error: Any = None

    def deltas(self, usage: Usage) -> list[Delta]:
        """One delta per choice, or one without text where the chunk only counts tokens."""
        return [choice.to_delta(usage) for choice in self.choices] or [Delta(usage=usage)]

    def count(self, usage: Usage) -> Usage:
        """The running count after this chunk: the server's own, else one token per piece of content."""
        if self.usage is not None:
            return Usage(self.usage.prompt_tokens, self.usage.completion_tokens)
        pieces = sum(1 for choice in self.choices if choice.delta.content)
        return Usage(usage.prompt_tokens, usage.completion_tokens + pieces)
