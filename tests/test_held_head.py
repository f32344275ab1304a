"""The head of an answer leaves with the first of its body, and never later than the loop's next turn."""

import asyncio

from pinnace.server.protocol import HeldHead


class Notes:
    """A transport that notes what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def held() -> tuple[Notes, HeldHead]:
    notes = Notes()
    return notes, HeldHead(notes, asyncio.get_running_loop())  # type: ignore[arg-type]


async def test_head_and_body_are_one_write() -> None:
    notes, transport = held()
    for part in (b"head", b"body", b"more"):
        transport.write(part)
    await asyncio.sleep(0)
    assert notes.written == [b"headbody", b"more"]


async def test_a_head_without_a_body_leaves_by_itself() -> None:
    notes, transport = held()
    transport.write(b"head")
    assert notes.written == []
    await asyncio.sleep(0)
    transport.write(b"body")
    assert notes.written == [b"head", b"body"]


async def test_closing_sends_what_was_held() -> None:
    notes, transport = held()
    transport.write(b"head")
    assert not transport.is_closing()
    transport.close()
    assert (notes.written, notes.is_closed, transport.is_closing()) == ([b"head"], True, True)
