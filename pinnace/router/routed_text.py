"""The text that a request is routed by: what is embedded, and looked at for character n-grams."""

from pinnace.models.completion import Request
from pinnace.models.tool_turns import may_call

CALLING = "Tool call: call one of the functions that are offered, with the right arguments from this message."
"""What a request with functions is told apart by: its own words are often those of a question without any."""

_BEFORE = f"{CALLING}\n\n"


def routed_text(request: Request) -> str:
    """The last user turn of a request; where it may be answered by a call, with a line that says so.

    A result of a function that comes after it is to be told, not called again.
    """
    is_asked = bool(request.messages) and request.messages[-1].role == "user"
    return f"{_BEFORE}{request.text()}" if may_call(request) and is_asked else request.text()


def plain_text(text: str) -> str:
    """The user turn again, without the line."""
    return text.removeprefix(_BEFORE)


def tells_of_functions(text: str) -> bool:
    """Whether a routed text is that of a request with functions."""
    return text.startswith(_BEFORE)
