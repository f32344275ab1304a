"""Writes of one answer: a head leaves with its body, a burst in few writes, an end at once, all in order."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pinnace.server.gathered import CLOSE_S, WAIT_S, Gathered

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


class Notes:
    """A transport that notes what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def gathered() -> tuple[Notes, Gathered]:
    notes = Notes()
    return notes, Gathered(notes, asyncio.get_running_loop())  # type: ignore[arg-type]


async def test_head_and_body_are_one_write() -> None:
    notes, transport = gathered()
    for part in (b"head", b"body", b"more"):
        transport.write(part)
    await asyncio.sleep(0)
    assert notes.written == [b"headbody", b"more"]


async def test_a_head_without_a_body_leaves_by_itself() -> None:
    notes, transport = gathered()
    transport.write(b"head")
    assert notes.written == []
    await asyncio.sleep(0)
    transport.write(b"body")
    assert notes.written == [b"head", b"body"]


async def test_the_first_of_a_body_waits_for_nothing() -> None:
    notes, transport = gathered()
    transport.write(HEAD)
    await asyncio.sleep(0)
    transport.write(b"one")
    assert notes.written == [HEAD, b"one"]


async def test_closing_sends_what_was_kept() -> None:
    notes, transport = gathered()
    transport.write(b"head")
    assert not transport.is_closing()
    transport.close()
    assert (notes.written, notes.is_closed, transport.is_closing()) == ([b"head"], True, True)


async def test_a_burst_of_chunks_leaves_together_and_its_end_waits_for_nothing() -> None:
    notes, transport = gathered()
    for part in (HEAD, b"one", b"two", b"three", LAST):
        transport.write(part)
    assert notes.written == [HEAD + b"one", b"twothree" + LAST]
    await asyncio.sleep(2 * WAIT_S)
    assert len(notes.written) == 2


async def test_what_waits_leaves_soon_and_what_comes_later_leaves_at_once() -> None:
    notes, transport = gathered()
    for part in (HEAD, b"one", b"two"):
        transport.write(part)
    assert notes.written == [HEAD + b"one"]
    await asyncio.sleep(20 * WAIT_S)
    assert notes.written == [HEAD + b"one", b"two"]
    await asyncio.sleep(2 * CLOSE_S)
    transport.write(b"three")
    assert notes.written[-1] == b"three"


async def test_an_answer_of_a_stated_length_is_never_kept() -> None:
    notes, transport = gathered()
    for part in (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"one", b"two", b"end"):
        transport.write(part)
    assert notes.written[1:] == [b"two", b"end"]


async def test_a_client_that_left_is_written_to_no_more() -> None:
    notes, transport = gathered()
    for part in (HEAD, b"one", b"two"):
        transport.write(part)
    notes.is_closed = True
    await asyncio.sleep(20 * WAIT_S)
    assert notes.written == [HEAD + b"one"]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.booleans()), max_size=12))
def test_nothing_is_lost_and_the_order_stays(parts: list[tuple[bytes, bool]]) -> None:
    async def run() -> None:
        notes, transport = gathered()
        transport.write(HEAD)
        for part, is_slow in parts:
            transport.write(part)
            await asyncio.sleep(2 * CLOSE_S if is_slow else 0)
        transport.write(LAST)
        assert b"".join(notes.written) == HEAD + b"".join(part for part, _ in parts) + LAST

    asyncio.run(run())
