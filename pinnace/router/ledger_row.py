"""The row of one served request, as the ledger keeps it. Knows no file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from pinnace.models.completion import Request
from pinnace.models.energy.joules import sum_of
from pinnace.router.answer import Attempt


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One request. Times in seconds, cost in USD; `attempts` is JSON, one entry per rung tried.

    `key` is the *name* of the API key that asked, empty where none was needed; the ledger never holds a key.
    `joules` is the sum over all attempts whose energy is known, None where none is; `joules_source` says of
    each model where its figure comes from. Of a `private` request no text is ever kept.

    `system` is the system turn of a request whose prompt was all else that its answer rests on, empty where
    it had none; None of a request with more turns, with tools or with a schema, and where no text is kept.
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
    joules: float | None = None
    joules_source: str = ""
    private: bool = False
    system: str | None = None


def system_alone(request: Request) -> str | None:
    """The system turn of a request that has nothing else beside its prompt, empty where it has none."""
    if request.tools or request.response_format or request.is_raw:
        return None
    roles = [message.role for message in request.messages]
    if roles == ["user"]:
        return ""
    is_led = len(roles) == 2 and roles[0] in ("system", "developer") and roles[1] == "user"
    return request.messages[0].content if is_led else None


def joules_of_all(attempts: Sequence[Attempt]) -> tuple[float | None, str]:
    """What all attempts took in joules as far as that is known, and where the figures come from."""
    return sum_of((attempt.model, attempt.joules, attempt.joules_source) for attempt in attempts)


def attempts_json(attempts: Sequence[Attempt], *, store_text: bool = False) -> str:
    """The attempts as the ledger holds them, `text` among it only where text is stored."""
    return json.dumps([_entry(attempt, store_text=store_text) for attempt in attempts], ensure_ascii=False)


def _entry(attempt: Attempt, *, store_text: bool) -> dict[str, Any]:
    entry = {name: getattr(attempt, name) for name in _ATTEMPT} | {"usage": _usage(attempt)}
    if attempt.joules is not None:
        entry |= {"joules": attempt.joules, "joules_source": attempt.joules_source}
    if attempt.text is not None and store_text:
        entry["text"] = attempt.text
    return entry


def _usage(attempt: Attempt) -> dict[str, int]:
    usage = attempt.usage
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


_APART = ("text", "times", "joules", "joules_source")
_ATTEMPT = tuple(field.name for field in fields(Attempt) if field.name not in _APART)
