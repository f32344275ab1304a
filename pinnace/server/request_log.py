"""One line in the log for every request: who answered, by which route, how long, how much. No content."""

import logging
from collections.abc import Mapping

from pinnace.server.completion import path_of
from pinnace.server.sight import Sight

log = logging.getLogger("pinnace.requests")


def log_request(request_id: str, sight: Sight, model: str, code: int) -> None:
    """Write the line of a request that is over."""
    if log.isEnabledFor(logging.INFO):
        fields = fields_of(request_id, sight, model, code)
        log.info("%s", _Pairs(fields), extra={"fields": fields})


class _Pairs:
    """The fields as text, made only where they are written as text."""

    def __init__(self, fields: Mapping[str, str | int | float]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._fields.items())


def fields_of(request_id: str, sight: Sight, model: str, code: int) -> Mapping[str, str | int | float]:
    """What the line says. Times in milliseconds; tokens and cost of all attempts together."""
    fields: dict[str, str | int | float] = {
        "id": request_id,
        "path": sight.path,
        "status": code,
        "model": model,
        "route": sight.strategy,
        "total_ms": _ms(sight.elapsed()),
        "queue_ms": _ms(sight.queue_s),
    }
    if sight.route is None or sight.request is None:
        return fields
    if sight.first_s is not None:
        fields |= {"first_token_ms": _ms(sight.first_s), "chunks": sight.chunks}
    return fields | {
        "completion": sight.request.id,
        "asked": sight.asked,
        "tried": path_of(attempt.model for attempt in sight.attempts),
        "decision_ms": _ms(sight.route.decision_s),
        "overhead_ms": _ms(sight.overhead()),
        "prompt_tokens": sight.prompt_tokens,
        "completion_tokens": sight.completion_tokens,
        "cost_usd": round(sight.cost_usd, 10),
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
