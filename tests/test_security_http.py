"""Requests that lie about themselves on a real socket: one answer at most, and nothing is left behind."""

import asyncio
import json

import pytest
from server_fixtures import ASK, house, on_a_socket

BODY = json.dumps({"model": "auto", "messages": ASK}).encode()
INVALID = {
    "message": "The request is not valid HTTP.",
    "type": "invalid_request_error",
    "param": None,
    "code": "invalid_http",
}


def asked(*headers: bytes, body: bytes = BODY) -> bytes:
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"content-type: application/json", *headers]
    return b"\r\n".join([*lines, b"", body])


async def answered(sent: bytes) -> bytes:
    """What comes back until the server closes, or says nothing for a moment."""
    async with house() as place, on_a_socket(place.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        found = b""
        try:
            while part := await asyncio.wait_for(reader.read(65_536), 0.5):
                found += part
        except TimeoutError:
            pass
        writer.close()
        await writer.wait_closed()
    return found


LENGTH = b"content-length: %d" % len(BODY)
CHUNKED = b"transfer-encoding: chunked"


@pytest.mark.parametrize(
    "sent",
    [
        asked(b"content-length: -1"),
        asked(b"content-length: +5"),
        asked(b"content-length: " + b"9" * 40),
        asked(LENGTH, b"content-length: 5"),
        asked(LENGTH, CHUNKED),
        asked(CHUNKED, body=b"zz\r\n" + BODY),
        asked(b"x-a: a\0b"),
        asked(b"content-length: 10"),
        b"\0" * 100 + b"\r\n\r\n",
    ],
)
async def test_what_contradicts_itself_is_400_in_the_envelope(sent: bytes) -> None:
    head, _, body = (await answered(sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert json.loads(body)["error"] == INVALID


@pytest.mark.parametrize(
    "sent", [asked(b"content-length: 100000"), asked(CHUNKED, body=b"ffffffff\r\n" + BODY)]
)
async def test_a_body_that_is_shorter_than_it_says_is_waited_for_and_leaves_nothing(sent: bytes) -> None:
    assert await answered(sent) == b""


async def test_a_chunked_body_is_a_body() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, BODY[i : i + 1]) for i in range(len(BODY)))
    found = await answered(asked(CHUNKED, body=chunks + b"0\r\n\r\n"))
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.count(b"HTTP/1.1") == 1


async def test_two_requests_in_one_packet_have_two_answers() -> None:
    found = await answered(asked(LENGTH) * 2)
    assert found.count(b"HTTP/1.1 200 ") == 2
