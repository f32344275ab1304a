"""A request header that says one of a few words."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pinnace.errors import RequestError
from pinnace.server.envelope import Header

T = TypeVar("T")


def word_in(headers: Iterable[Header], name: bytes, words: Mapping[bytes, T], otherwise: T) -> T:
    """What the header called `name` means, by its word; `otherwise` where it is not sent.

    :raises RequestError: where it says none of `words`.
    """
    for each, value in headers:
        if each == name:
            found = words.get(value.strip().lower())
            if found is None:
                param, got = name.decode(), value.decode("latin-1")[:64]
                expected = " or ".join(repr(word.decode()) for word in words)
                message = f"{param}: expected {expected}, got {got!r}"
                raise RequestError(message, param=param, code="invalid_value")
            return found
    return otherwise
