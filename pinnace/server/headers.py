"""The `x-pinnace-*` headers of an answer: its route for who does not read the body."""

from pinnace.router.answer import Committed
from pinnace.server.completion import path_of
from pinnace.server.envelope import Header

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
    return [(name.encode(), value.encode("ascii", "replace")) for name, value in fields.items()]


def ascii_line(text: str) -> str:
    """`text` as one short line of printable ASCII."""
    line = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text[:_LONGEST_WHY])
    return line.strip()
