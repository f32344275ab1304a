"""The row of one served request, as the ledger keeps it. Knows no file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from pinnace.router.answer import Attempt


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One request. Times in seconds, cost in USD; `attempts` is JSON, one entry per rung tried.

    `key` is the *name* of the API key that asked, empty where none was needed; the ledger never holds a key.
    """

    request_id: str
    created: float
    asked_model: str
    model: str
    strategy: str
    route: str
    confidence: float | None
    escalated: bool
    outcome: str
    why: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    decision_s: float
    total_s: float
    clusters: str
    attempts: str
    prompt: str | None = None
    answer: str | None = None
    key: str = ""


def attempts_json(attempts: Sequence[Attempt], *, store_text: bool = False) -> str:
    """The attempts as the ledger holds them, `text` among it only where text is stored."""
    return json.dumps([_entry(attempt, store_text=store_text) for attempt in attempts], ensure_ascii=False)


def _entry(attempt: Attempt, *, store_text: bool) -> dict[str, Any]:
    entry = {name: getattr(attempt, name) for name in _ATTEMPT} | {"usage": _usage(attempt)}
    if attempt.text is not None and store_text:
        entry["text"] = attempt.text
    return entry


def _usage(attempt: Attempt) -> dict[str, int]:
    usage = attempt.usage
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


_ATTEMPT = tuple(field.name for field in fields(Attempt) if field.name not in ("text", "times"))
