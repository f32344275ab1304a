"""Ledgers made up for tests: served requests whose outcomes are known."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from router_fixtures import ROW

from pinnace.router.evidence import FEATURES
from pinnace.router.ledger import Ledger
from pinnace.router.ledger_row import LedgerRow

FEATURES_ZERO = dict.fromkeys(FEATURES, 0.0)


def attempt(model: str, verdict: str, confidence: float = 0.5, **more: Any) -> dict[str, Any]:
    """One attempt as the ledger has it: whole, judged where it has a bar, 4 tokens at 1 USD a million."""
    usage = {"prompt_tokens": 6, "completion_tokens": 4}
    entry = {
        "model": model, "usage": usage, "cost_usd": 4e-6, "verdict": verdict, "why": "",
        "confidence": confidence, "bar": None, "is_whole": True, "evidence": {},
    }  # fmt: skip
    return entry | more


def judged(verdict: str, confidence: float, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A try of `small` that had to reach 0.6; `text` is that of a draft."""
    said = {} if text is None else {"text": text}
    return attempt(
        "small", verdict, confidence, **{"bar": 0.6, "evidence": {"whole": FEATURES_ZERO}} | said | more
    )


def accepted(
    name: str, confidence: float, prompt: str = "Name the capital of Peru", answer: str = "Lima"
) -> LedgerRow:
    """`small` answered."""
    return served(name, [judged("accepted", confidence)], prompt=prompt, answer=answer)


def escalated(
    name: str,
    confidence: float,
    draft: str | None,
    answer: str,
    prompt: str = "Name the capital of Chile",
    **more: Any,
) -> LedgerRow:
    """`small` was climbed past, and `large` answered; `more` is of the draft's attempt."""
    attempts = [
        judged("climbed", confidence, draft, **more),
        attempt("large", "accepted", 0.9, cost_usd=4e-4),
    ]
    return served(name, attempts, prompt=prompt, answer=answer)


def served(name: str, attempts: list[dict[str, Any]], **more: Any) -> LedgerRow:
    """A row of these attempts, in which the last one answered."""
    last = attempts[-1]
    return replace(
        ROW,
        request_id=name,
        created=1_700_000_000.0,
        model=last["model"],
        outcome=last["verdict"],
        escalated=len(attempts) > 1,
        route=">".join(each["model"] for each in attempts),
        attempts=json.dumps(attempts),
        **more,
    )


def write_ledger(path: Path, rows: Iterable[LedgerRow], ratings: dict[str, float] | None = None) -> Path:
    """A ledger of these rows, rated so."""
    ledger = Ledger(path, store_text=True)
    for row in rows:
        ledger.add(row)
    for name, rating in (ratings or {}).items():
        ledger.rate(name, rating)
    ledger.start()
    ledger.stop()
    assert ledger.dropped == 0
    return path
