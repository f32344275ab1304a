"""API keys: who may use the endpoint. Knows nothing of what they ask for.

Keys are kept as SHA-256 digests, and a presented key is compared with every one of them in constant
time, so that neither its content nor its place in the list shows in how long the answer takes.
"""

import hashlib
import hmac
from collections.abc import Iterable

from pinnace.server.envelope import Header, RefusedError, refused


class Keys:
    """The configured keys. With none configured, everybody may come in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key.encode()) for key in keys)

    def is_known(self, key: bytes) -> bool:
        """Whether `key` is one of the keys; takes as long whatever the answer."""
        digest = _digest(key)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found

    def check(self, headers: Iterable[Header]) -> None:
        """Let a request in by its `Authorization: Bearer` header.

        :raises RefusedError: 401, where keys are configured and it has none, or none of them.
        """
        if not self._digests:
            return
        key = bearer_of(headers)
        if key is None:
            raise _unauthorized("No API key was given: expected the header 'Authorization: Bearer KEY'.")
        if not self.is_known(key):
            raise _unauthorized("The API key that was given is not one of this server's.")


def bearer_of(headers: Iterable[Header]) -> bytes | None:
    """The key in the first `Authorization: Bearer` header; None where there is none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            return key.strip() or None if scheme.lower() == b"bearer" else None
    return None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _unauthorized(message: str) -> RefusedError:
    return refused(401, message, code="invalid_api_key", headers=((b"www-authenticate", b"Bearer"),))
