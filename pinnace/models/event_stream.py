"""Server-sent events off the wire: parts of a body in, what each `data:` line says out.

Reads bytes that anybody may have sent: what is no event stream, or is larger than it may be, is an
error. Knows nothing of what the events mean.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable

LINE_BYTES = 2**20
_FIELDS = (b"data", b"event", b"id", b"retry", b"")


class EventStreamError(Exception):
    """The body is no event stream, or is too large; says which, and quotes nothing of it."""


async def events(parts: AsyncIterable[bytes], most: int) -> AsyncGenerator[list[bytes], None]:
    """Yield the values of the `data:` lines that have one, those that came together together.

    Lines end in LF or CRLF; an event has one such line.

    :param most: bytes that the whole body may have.
    :raises EventStreamError: where it is something else than events, or larger.
    """
    total, rest = 0, b""
    async for part in parts:
        total += len(part)
        *lines, rest = (rest + part).split(b"\n")
        if total > most or len(rest) > LINE_BYTES:
            raise EventStreamError(f"expected an answer of at most {most} bytes, got a larger one")
        if said := _values(lines):
            yield said
    if said := _values([rest]):
        yield said


def _values(lines: Iterable[bytes]) -> list[bytes]:
    """What the `data:` lines among these say."""
    found: list[bytes] = []
    for line in lines:
        field, _, value = line.removesuffix(b"\r").partition(b":")
        if field not in _FIELDS:
            raise EventStreamError("expected server-sent events, got something else")
        if field == b"data" and (said := value.strip()):
            found.append(said)
    return found
