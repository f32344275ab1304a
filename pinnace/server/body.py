"""The body of a request: read up to a cap and up to a time, and no more complex than it may be.

What `Content-Length` says is believed only where it says too much. Knows nothing of what is in it beyond how
many members its JSON has and how deep they lie.
"""

import asyncio

import numpy as np
from starlette.types import Message, Receive, Scope

from pinnace.config import Limits
from pinnace.server.envelope import ClientGoneError, RefusedError, refused
from pinnace.server.lifeline import Lifeline

_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def patient(receive: Receive, seconds: float, lifeline: Lifeline) -> Receive:
    """ASGI's receive, with so many seconds for the whole body: after them `lifeline` is cut, for a 408."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = loop.call_later(seconds, _cut, lifeline, seconds)

    async def read() -> Message:
        nonlocal timer
        message = await receive()
        if timer is not None and not message.get("more_body", False):
            timer.cancel()
            timer = None
        return message

    return read


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Read a JSON body of at most `most` bytes.

    :raises RefusedError: 413 as soon as it is known to be larger; 400 where it is not said to be JSON.
    :raises ClientGoneError: when the client leaves before its end.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    _check_form(headers)
    length = headers.get(b"content-length", b"")
    if length.isdigit() and (len(length) > 15 or int(length) > most):
        raise _too_large(most)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client left before its request was whole")
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def check_shape(body: bytes, limits: Limits) -> None:
    """Refuse JSON of more members, or deeper, than may be, before anything is parsed.

    A body that has too few colons and brackets for it is let by after counting them, which is nearly all;
    of the others the strings are cut out first. What is no JSON at all is left to the parser.

    :raises RefusedError: 400.
    """
    brackets = body.count(b"{") + body.count(b"[")
    is_suspect = body.count(b":") > limits.json_members or brackets > limits.json_depth
    if not is_suspect:
        return
    bare = without_strings(body)
    if bare.count(b":") > limits.json_members:
        raise _too_complex(f"has more than {limits.json_members} JSON members")
    if depth_of(bare) > limits.json_depth:
        raise _too_complex(f"is nested deeper than {limits.json_depth} levels")


def without_strings(body: bytes) -> bytes:
    """JSON without its strings, in time that grows with its length alone, whatever is in it."""
    return b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])


def depth_of(bare: bytes) -> int:
    """How deep the brackets of JSON without strings lie; 0 where they do not match, which is no JSON."""
    brackets = np.frombuffer(bare.translate(None, _NOT_BRACKETS), np.uint8)
    if brackets.size == 0:
        return 0
    opens = (brackets == ord("[")) | (brackets == ord("{"))
    levels = np.cumsum(np.where(opens, 1, -1))
    return int(levels.max()) if levels[-1] == 0 else 0


def _check_form(headers: dict[bytes, bytes]) -> None:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        got = kind.decode("latin-1")[:80]
        raise refused(400, f"Content-Type: expected application/json, got {got!r}", code="not_json")
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        got = coding.decode("latin-1")[:80]
        raise refused(400, f"Content-Encoding: expected an uncompressed body, got {got!r}", code="not_json")


def _too_large(most: int) -> RefusedError:
    return refused(
        413, f"The body is larger than {most} bytes, the most that this server reads.", code="body_too_large"
    )


def _too_complex(what: str) -> RefusedError:
    return refused(400, f"The body {what}, the most that this server reads.", code="body_too_complex")


def _cut(lifeline: Lifeline, seconds: float) -> None:
    message = f"The body was not whole within {seconds:g} s, the longest that this server waits for it."
    lifeline.cut(refused(408, message, code="body_too_slow"))
