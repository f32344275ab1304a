"""API keys: who may use the endpoint. Knows nothing of what they ask for.

Keys are kept as SHA-256 digests: plain, since keys are random and too many to guess. A presented key is
hashed, looked up by its digest, and compared in constant time, with a digest of nobody's where there is none:
known or not, the same steps are taken, and what a look-up's time could tell is about the hash, not the key.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from pinnace.config import Server
from pinnace.router.spending import Spending
from pinnace.server.caller import Caller
from pinnace.server.envelope import Header, RefusedError, refused


class Keys:
    """The configured keys, and whose they are. With none configured, everybody may come in.

    Plain `api_keys` are hashed here, and called `api_keys[0]` and so on. Those that were there `before`, in
    the configuration that these replace, go on in their minute.
    """

    def __init__(self, config: Server, spending: Spending, before: "Keys | None" = None) -> None:
        cache = config.cache.everyone
        self._anybody = Caller(None, spending, cache=cache)
        self._callers: Mapping[bytes, Caller] = {
            **{
                digest_of(key.get_secret_value().encode()): Caller(
                    None, spending, name=f"api_keys[{position}]", cache=cache
                )
                for position, key in enumerate(config.api_keys)
            },
            **{bytes.fromhex(key.sha256): Caller(key, spending, cache=cache) for key in config.keys},
        }
        self._nobodys = secrets.token_bytes(32)
        if before is not None:
            for digest, caller in self._callers.items():
                caller.go_on(before._callers.get(digest))

    def find(self, key: bytes) -> Caller | None:
        """Whose `key` is; takes the same steps whatever the answer."""
        digest = digest_of(key)
        found = self._callers.get(digest)
        known = self._nobodys if found is None else digest
        return found if hmac.compare_digest(digest, known) else None

    def check(self, headers: Iterable[Header]) -> Caller:
        """Let a request in by its `Authorization: Bearer` header.

        :raises RefusedError: 401, where keys are configured and it has none, or none of them.
        """
        if not self._callers:
            return self._anybody
        key = bearer_of(headers)
        if key is None:
            raise _unauthorized("No API key was given: expected the header 'Authorization: Bearer KEY'.")
        caller = self.find(key)
        if caller is None:
            raise _unauthorized("The API key that was given is not one of this server's.")
        return caller


def bearer_of(headers: Iterable[Header]) -> bytes | None:
    """The key in the first `Authorization: Bearer` header; None where there is none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            return key.strip() or None if scheme.lower() == b"bearer" else None
    return None


def digest_of(key: bytes) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key).digest()


def _unauthorized(message: str) -> RefusedError:
    return refused(401, message, code="invalid_api_key", headers=((b"www-authenticate", b"Bearer"),))
