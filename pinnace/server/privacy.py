"""Privacy: `x-pinnace-private: true` keeps a request's text out of the ledger, and so out of training."""

from collections.abc import Iterable

from pinnace.errors import RequestError
from pinnace.server.envelope import Header

PRIVATE_HEADER = b"x-pinnace-private"
_SAID = {b"true": True, b"false": False}


def is_private(headers: Iterable[Header]) -> bool:
    """What `x-pinnace-private` asks for; not private where it is not sent.

    :raises RequestError: where it is neither `true` nor `false`.
    """
    for name, value in headers:
        if name == PRIVATE_HEADER:
            found = _SAID.get(value.strip().lower())
            if found is None:
                param, got = PRIVATE_HEADER.decode(), value.decode("latin-1")[:64]
                message = f"{param}: expected 'true' or 'false', got {got!r}"
                raise RequestError(message, param=param, code="invalid_value")
            return found
    return False
