"""Writes that follow closely on each other leave together: each by itself costs a system call, and its
client a waking.

Knows HTTP's chunked framing well enough to see a head, and an end.
"""

import time
from asyncio import AbstractEventLoop, TimerHandle, Transport

CLOSE_S = 0.0005
"""What comes so soon after the last write waits for company."""
WAIT_S = 0.001
"""How long it waits at most: the shortest time that uvloop knows."""
_CHUNKED = b"transfer-encoding: chunked"
_LAST_CHUNK = b"0\r\n\r\n"


class Gathered:
    """The transport of one answer. A head leaves with the first of its body, or in the loop's next turn.

    After that what is written leaves at once, unless the last write was a moment ago. The last chunk waits
    for nothing; an answer of a stated length is never kept, since its end is not to be seen here.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept = b""
        self._has_begun = False
        self._has_body = False
        self._may_keep = False
        self._left_at = 0.0
        self._timer: TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """The first write is the head."""
        self._kept += data
        if not self._has_begun:
            self._has_begun = True
            self._may_keep = _CHUNKED in data
            self._loop.call_soon(self._flush)
            return
        self._has_body = True
        if not self._may_keep or data.endswith(_LAST_CHUNK) or self._was_a_while_ago():
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(WAIT_S, self._flush)

    def close(self) -> None:
        """Once all has left."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport.is_closing()

    def _was_a_while_ago(self) -> bool:
        return time.perf_counter() - self._left_at >= CLOSE_S

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._kept:
            kept, self._kept = self._kept, b""
            self._left_at = time.perf_counter() if self._has_body else 0.0
            if not self._transport.is_closing():
                self._transport.write(kept)
