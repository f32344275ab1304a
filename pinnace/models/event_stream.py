"""Server-sent events off the wire: parts of a body in, what each `data:` line says out.

Reads bytes that anybody may have sent: what is no event stream, or is larger than it may be, is an
error. Knows nothing of what the events mean.
"""

from collections.abc import AsyncGenerator, AsyncIterable

LINE_BYTES = 2**20
_FIELDS = (b"data", b"event", b"id", b"retry", b"")


class EventStreamError(Exception):
    """The body is no event stream, or is too large; says which, and quotes nothing of it."""


async def events(parts: AsyncIterable[bytes], most: int) -> AsyncGenerator[bytes, None]:
    """Yield the value of each `data:` line that has one. Lines end in LF or CRLF; an event has one such line.

    :param most: bytes that the whole body may have.
    :raises EventStreamError: where it is something else than events, or larger.
    """
    async for line in _lines(parts, most):
        field, _, value = line.partition(b":")
        if field not in _FIELDS:
            raise EventStreamError("expected server-sent events, got something else")
        if field == b"data" and (said := value.strip()):
            yield said


async def _lines(parts: AsyncIterable[bytes], most: int) -> AsyncGenerator[bytes, None]:
    total = 0
    line = bytearray()
    async for part in parts:
        total += len(part)
        *ends, rest = part.split(b"\n")
        for end in ends:
            yield bytes(line + end).removesuffix(b"\r")
            line.clear()
        line += rest
        if total > most or len(line) > LINE_BYTES:
            raise EventStreamError(f"expected an answer of at most {most} bytes, got a larger one")
    if line:
        yield bytes(line)
