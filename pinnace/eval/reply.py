"""What came back for one request: the answer as text, its tokens, what it cost, and who gave it. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage
from pinnace.models.tool_calls import ToolCall, gather_calls
from pinnace.router.evidence import evidence_of
from pinnace.router.validity import is_valid


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer. Calls are its text, as a JSON list of `{name, arguments}`; `usage` is None where the
    backend does not count, and `cost` NaN then.

    `valid` is 0.0 where the answer breaks the format that was asked for, `agreement` the share of votes for
    it. `answered_by`, `escalated` and `confidence` are of an answer that came by a route.
    """

    text: str
    tokens: tuple[TokenLogprob, ...]
    finish: FinishReason
    usage: Usage | None
    cost: float
    valid: float = 1.0
    agreement: float = 1.0
    answered_by: str | None = None
    escalated: bool | None = None
    confidence: float | None = None


def agreement_in(deltas: Sequence[Delta]) -> float:
    """The share of a backend's own samples that say what the answer says; 1.0 where it drew one."""
    return next((delta.agreement for delta in deltas if delta.agreement is not None), 1.0)


def text_of(deltas: Sequence[Delta], request: Request) -> tuple[str, float]:
    """The text of an answer, or its calls as JSON; and whether it keeps the format of the request."""
    calls = gather_calls(piece for delta in deltas for piece in delta.tool_calls)
    text = "".join(delta.text for delta in deltas)
    valid = float(is_valid(text, calls, request))
    return json.dumps([_call(call) for call in calls], ensure_ascii=False) if calls else text, valid


def evidence_in(reply: Reply, hold_tokens: int) -> dict[str, Any]:
    """What the table's column holds: features of the whole answer and of its first tokens, its counts, and
    where a route gave it, who answered."""
    tokens, finish = reply.tokens, reply.finish
    counts = reply.usage or Usage(0, len(tokens))
    routed = {"answered_by": reply.answered_by, "escalated": reply.escalated, "confidence": reply.confidence}
    return {
        "whole": _features(tokens, finish, reply.valid, reply.agreement),
        "prefix": _features(tokens[:hold_tokens], finish if len(tokens) <= hold_tokens else None),
        "completion_tokens": counts.completion_tokens,
        "prompt_tokens": counts.prompt_tokens,
        **{name: value for name, value in routed.items() if value is not None},
    }


def _features(
    tokens: Sequence[TokenLogprob],
    finish: FinishReason | None,
    valid: float = 1.0,
    agreement: float = 1.0,
) -> Mapping[str, Any] | None:
    evidence = evidence_of(tokens, finish, valid=valid, agreement=agreement)
    return evidence.as_dict() if evidence else None


def _call(call: ToolCall) -> dict[str, Any]:
    """A call whose arguments are parsed; those that break off stay text."""
    try:
        return {"name": call.name, "arguments": json.loads(call.arguments or "{}")}
    except (ValueError, RecursionError):
        return {"name": call.name, "arguments": call.arguments}
