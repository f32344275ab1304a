"""Who a key belongs to: found by its hash, compared in constant time, the same steps for a stranger."""

import hashlib
import hmac

import pytest
from key_fixtures import OTHER, SECRET, key

from pinnace.config import Server
from pinnace.router.spending import Spending
from pinnace.server import auth
from pinnace.server.auth import Keys, bearer_of
from pinnace.server.envelope import RefusedError

KEYED = {"keys": [key(), key("bob", OTHER)], "api_keys": ["plain-1", "plain-2"]}


def keys(**server: object) -> Keys:
    return Keys(Server.model_validate(server), Spending())


@pytest.mark.parametrize(
    ("secret", "name"),
    [(SECRET, "alice"), (OTHER, "bob"), ("plain-1", "api_keys[0]"), ("plain-2", "api_keys[1]")],
)
def test_a_key_is_found_by_its_hash_and_called_by_its_name(secret: str, name: str) -> None:
    caller = keys(**KEYED).check([(b"authorization", f"Bearer {secret}".encode())])
    assert caller.name == name


def test_the_hash_itself_opens_nothing() -> None:
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    assert keys(**KEYED).find(digest.encode()) is None
    assert keys(**KEYED).find(bytes.fromhex(digest)) is None


def test_without_keys_anybody_may_come_in() -> None:
    assert keys().check([]).name == ""


def test_keys_alone_close_the_door() -> None:
    with pytest.raises(RefusedError, match="No API key was given"):
        keys(keys=[key()]).check([])


@pytest.mark.parametrize("secret", [SECRET, "plain-2", "nobody's", SECRET[:-1], ""])
def test_known_or_not_the_same_steps_are_taken(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash of what was presented, one look-up, one constant-time comparison of two whole digests."""
    steps: list[tuple[str, int]] = []
    real_hash, real_compare = hashlib.sha256, hmac.compare_digest
    found = keys(**KEYED)

    def sha256(data: bytes) -> object:
        steps.append(("hash", 1))
        return real_hash(data)

    def compare_digest(a: bytes, b: bytes) -> bool:
        steps.append(("compare", min(len(a), len(b))))
        return real_compare(a, b)

    monkeypatch.setattr(auth.hashlib, "sha256", sha256)
    monkeypatch.setattr(auth.hmac, "compare_digest", compare_digest)
    found.find(secret.encode())
    assert steps == [("hash", 1), ("compare", 32)]


def test_no_key_is_held_but_its_hash() -> None:
    found = keys(**KEYED)
    assert SECRET not in repr(vars(found))
    assert "plain-1" not in repr(vars(found))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer  abc ", b"abc"),
        (b"Basic abc", None),
        (b"Bearer ", None),
        (b"", None),
    ],
)
def test_the_key_is_what_follows_bearer(value: bytes, found: bytes | None) -> None:
    assert bearer_of([(b"host", b"x"), (b"authorization", value), (b"authorization", b"Bearer 2")]) == found
