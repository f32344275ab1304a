"""A span around a block: it ends with the block, and with what went wrong there if anything did."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Unpack

from pinnace.agents.trace import Found, Kind, OpenSpan, Trace
from pinnace.models.short_line import error_line


@contextmanager
def spanned(
    trace: Trace, kind: Kind, name: str, parent: int | None = None, **known: Unpack[Found]
) -> Generator[OpenSpan, None, None]:
    """Open a span for the block; what the block has ended by itself stays as it ended it.

    :param known: what is known of it before, for where the block fails.
    """
    span = trace.begin(kind, name, parent)
    try:
        yield span
    except BaseException as error:
        span.end(**(known | Found(error=error_line(error))))
        raise
    span.end()
