"""The ledger row of an answer that was told again: no model ran, and it cost nothing."""

import time

from pinnace.models.completion import Request
from pinnace.router.answer import Answered, Committed
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.routed_text import routed_text


def cached_row(
    request: Request, model: str, committed: Committed, answered: Answered, text: str | None, total_s: float
) -> LedgerRow:
    """The row.

    :param model: what was asked for.
    :param text: the answer, where text is stored.
    """
    return LedgerRow(
        request_id=request.id,
        created=time.time() - total_s,
        asked_model=model,
        model=committed.model,
        strategy="cache",
        route=">".join(committed.tried),
        confidence=committed.confidence,
        escalated=committed.escalated,
        outcome="cached",
        why=committed.why,
        prompt_tokens=answered.usage.prompt_tokens,
        completion_tokens=answered.usage.completion_tokens,
        cost_usd=0.0,
        decision_s=0.0,
        total_s=total_s,
        clusters="",
        attempts="[]",
        prompt=None if text is None else routed_text(request),
        answer=text,
        key=request.caller,
        joules=0.0,
        joules_source="no model ran",
        private=request.private,
    )
