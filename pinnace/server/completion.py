"""A whole answer on the wire: deltas gathered into one `chat.completion`.

Also what whole and streamed answers have in common: usage, log-probabilities, and the `pinnace`
object that tells of the route. Knows nothing of how an answer came about.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pinnace.models.completion import Delta, TokenLogprob, Usage
from pinnace.router.answer import Answered
from pinnace.router.ledger_row import joules_of_all

to_json = json.JSONEncoder(separators=(",", ":")).encode
"""JSON without blanks, in ASCII."""

LEAST_LOGPROB = -9999.0
"""JSON has no infinity: what OpenAI writes for a token that could not come."""


class Choice:
    """One choice of an answer, as it grows."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish_reason = "stop"

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        self._text.append(delta.text)
        self._tokens.extend(delta.logprobs)
        for piece in delta.tool_calls:
            _merge_call(self._calls, piece)
        if delta.finish_reason is not None:
            self._finish_reason = delta.finish_reason

    def to_wire(self, index: int, top_logprobs: int | None) -> dict[str, Any]:
        """The choice in OpenAI's fields; log-probabilities where `top_logprobs` asks for them."""
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._calls:
            message["content"] = text or None
            message["tool_calls"] = [self._calls[position] for position in sorted(self._calls)]
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs_of(self._tokens, top_logprobs),
            "finish_reason": self._finish_reason,
        }


class Completion:
    """Gathers the deltas of one answer, all choices."""

    def __init__(self, completion_id: str, created: int, *, choices: int, top_logprobs: int | None) -> None:
        self._head = {"id": completion_id, "object": "chat.completion", "created": created}
        self._choices = [Choice() for _ in range(choices)]
        self._top_logprobs = top_logprobs

    def add(self, delta: Delta) -> None:
        """Take the next piece of whichever choice it belongs to."""
        self._choices[delta.index].add(delta)

    def body(self, answered: Answered) -> bytes:
        """The JSON of the whole answer."""
        choices = [c.to_wire(index, self._top_logprobs) for index, c in enumerate(self._choices)]
        rest = {"choices": choices, "usage": usage_of(answered.usage), "pinnace": route_of(answered)}
        return to_json({**self._head, "model": answered.model, **rest}).encode()


def usage_of(usage: Usage) -> dict[str, Any]:
    """What the answering model counted."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def route_of(answered: Answered) -> dict[str, Any]:
    """The `pinnace` object of an answer: who answered, by which route, how surely, for how much, and why.

    With joules and their source where any are known.
    """
    joules, source = joules_of_all(answered.attempts)
    energy = {} if joules is None else {"joules": joules, "joules_source": source}
    return {
        "model": answered.model,
        "route": path_of(attempt.model for attempt in answered.attempts),
        "confidence": round(answered.confidence, 4),
        "cost_usd": round(answered.cost_usd, 10),
        "escalated": answered.escalated,
        "why": answered.why,
        **energy,
    }


def path_of(models: Iterable[str]) -> str:
    """The models tried, in order: `small>large`."""
    return ">".join(models)


def logprobs_of(tokens: Sequence[TokenLogprob], top_logprobs: int | None) -> dict[str, Any] | None:
    """OpenAI's form of log-probabilities; None where they were not asked for, or there are none."""
    if top_logprobs is None or not tokens:
        return None
    return {"content": tokens_of(tokens, top_logprobs), "refusal": None}


def tokens_of(tokens: Sequence[TokenLogprob], top_logprobs: int) -> list[dict[str, Any]]:
    """Each token with its log-probability and its likeliest alternatives, in OpenAI's fields."""
    return [
        {**_token(t.token, t.logprob), "top_logprobs": [_token(*pair) for pair in t.top[:top_logprobs]]}
        for t in tokens
    ]


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": max(logprob, LEAST_LOGPROB),
        "bytes": list(text.encode(errors="replace")),
    }


def _merge_call(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Put a streamed piece of a tool call to what came of it before; only its arguments grow."""
    function: Mapping[str, Any] = piece.get("function") or {}
    call = calls.setdefault(
        piece.get("index", len(calls)),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    call["function"]["arguments"] += function.get("arguments") or ""
