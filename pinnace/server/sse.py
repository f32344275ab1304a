"""Framing of server-sent events, as OpenAI's streams use it: one line of JSON an event.

Knows nothing of what the JSON holds.
"""

import re

_BREAKS = re.compile(rb"[\r\n]")


def frame(payload: bytes) -> bytes:
    """One event. `payload` is one line: JSON never has a raw line break, so nothing needs splitting."""
    assert not _BREAKS.search(payload), "an event is one line"
    return b"data: " + payload + b"\n\n"


DONE = frame(b"[DONE]")
