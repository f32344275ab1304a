"""The body of a request: read up to a cap, and no further.

What `Content-Length` says is believed only where it says too much. Knows nothing of what is in it.
"""

from starlette.types import Receive, Scope

from pinnace.server.envelope import ClientGoneError, RefusedError, refused


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
