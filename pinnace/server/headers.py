"""The `x-pinnace-*` headers of an answer: its route for who does not read the body."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.router.answer import Answered, Committed
from pinnace.router.ledger_row import joules_of_all
from pinnace.server.completion import path_of
from pinnace.server.envelope import Header
from pinnace.server.sight import Sight

_LONGEST_WHY = 200


def headers_of(committed: Committed, cost_usd: float) -> list[Header]:
    """The `x-pinnace-*` headers of an answer; names and reasons in ASCII, since headers know no more."""
    fields = {
        "x-pinnace-model": committed.model,
        "x-pinnace-route": path_of(committed.tried),
        "x-pinnace-confidence": f"{committed.confidence:.4f}",
        "x-pinnace-cost-usd": f"{cost_usd:.10f}",
        "x-pinnace-why": ascii_line(committed.why),
    }
    return _encoded(fields)


def headers_of_several(accounts: Sequence[Answered]) -> list[Header]:
    """Those of an answer to several prompts: who answered, each model once, and the sum of what they cost."""
    models = dict.fromkeys(account.model for account in accounts)
    cost_usd = sum(account.cost_usd for account in accounts)
    return _encoded({"x-pinnace-model": ",".join(models), "x-pinnace-cost-usd": f"{cost_usd:.10f}"})


def headers_of_diverse(account: Mapping[str, Any]) -> list[Header]:
    """Those of several different answers, from their `pinnace` object."""
    found: Mapping[str, Any] = account["diverse"]
    fields = {
        "x-pinnace-model": account["model"],
        "x-pinnace-route": account["route"],
        "x-pinnace-confidence": f"{account['confidence']:.4f}",
        "x-pinnace-cost-usd": f"{account['cost_usd']:.10f}",
        "x-pinnace-why": ascii_line(account["why"]),
        "x-pinnace-distinct": str(found["distinct"]),
        "x-pinnace-valid": str(found["valid"]),
        "x-pinnace-samples": str(found["samples"]),
    }
    return _encoded(fields)


def headers_of_sight(sight: Sight, *, is_stream: bool) -> list[Header]:
    """How a request was routed and what that took, once it was; times in milliseconds.

    The overhead is known once an answer is whole, and so not in the headers of a stream.
    """
    if sight.route is None:
        return []
    fields = {
        "x-pinnace-strategy": sight.route.strategy,
        "x-pinnace-decision-ms": f"{1000 * sight.route.decision_s:.3f}",
    }
    if not is_stream:
        fields["x-pinnace-overhead-ms"] = f"{1000 * sight.overhead():.3f}"
        joules, source = joules_of_all(sight.attempts)
        if joules is not None:
            fields |= {"x-pinnace-joules": f"{joules:.6g}", "x-pinnace-joules-source": ascii_line(source)}
    return _encoded(fields)


def _encoded(fields: Mapping[str, str]) -> list[Header]:
    return [(name.encode(), value.encode("ascii", "replace")) for name, value in fields.items()]


def ascii_line(text: str) -> str:
    """`text` as one short line of printable ASCII."""
    line = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text[:_LONGEST_WHY])
    return line.strip()
