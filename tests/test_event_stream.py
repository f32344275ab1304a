"""The event stream: events come back however they are torn, and any bytes are events or an error."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.event_stream import EventStreamError, events


async def values_of(body: bytes, cuts: list[int], most: int = 10**6) -> list[bytes]:
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})

    async def parts() -> AsyncGenerator[bytes, None]:
        for begin, end in pairwise(edges):
            yield body[begin:end]

    return [value async for said in events(parts(), most) for value in said]


@given(
    st.lists(st.binary(min_size=1, max_size=20)),
    st.lists(st.integers(0, 400)),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_events_come_back_however_they_are_torn(said: list[bytes], cuts: list[int], end: bytes) -> None:
    plain = [value.translate(None, b"\r\n").strip() for value in said]
    body = b"".join(b"data: " + value + end + end for value in plain)
    assert asyncio.run(values_of(body, cuts)) == [value for value in plain if value]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_are_events_or_an_error(body: bytes, cuts: list[int]) -> None:
    async def read() -> list[bytes]:
        try:
            return await values_of(body, cuts)
        except EventStreamError:
            return []

    assert asyncio.run(read()) is not None
