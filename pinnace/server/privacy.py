"""Privacy: `x-pinnace-private: true` keeps a request's text out of the ledger, and so out of training."""

from collections.abc import Iterable

from pinnace.server.envelope import Header
from pinnace.server.header_word import word_in

PRIVATE_HEADER = b"x-pinnace-private"
_SAID = {b"true": True, b"false": False}


def is_private(headers: Iterable[Header]) -> bool:
    """What `x-pinnace-private` asks for; not private where it is not sent.

    :raises RequestError: where it is neither `true` nor `false`.
    """
    return word_in(headers, PRIVATE_HEADER, _SAID, otherwise=False)
