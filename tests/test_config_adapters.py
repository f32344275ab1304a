"""Adapters in `router.yaml`: what they have from their base, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pinnace.config import AdapterMember, Config, VllmMember, adapter_slots, load_config, parse_config
from pinnace.errors import ConfigError

BASE: dict[str, Any] = {
    "name": "small",
    "backend": "vllm",
    "weights": ["path:weights"],
    "price": {"input": 0.01, "output": 0.02},
    "system": "Be brief.",
    "json_schema": False,
    "context_window": 2048,
}
INTENTS: dict[str, Any] = {
    "name": "intents",
    "backend": "vllm",
    "base": "small",
    "adapter": "adapters/intents",
}


def configured(*members: dict[str, Any]) -> Config:
    return parse_config({"fleet": list(members)}, {})


def refusal(*members: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(*members)
    return str(caught.value)


def many(count: int) -> list[dict[str, Any]]:
    return [{**INTENTS, "name": f"a{number}"} for number in range(count)]


def test_an_adapter_is_a_member_that_names_its_base() -> None:
    member = configured(BASE, INTENTS).fleet[1]
    assert isinstance(member, AdapterMember)
    assert (member.base, member.adapter) == ("small", "adapters/intents")


def test_it_has_from_its_base_what_it_does_not_say() -> None:
    base, member = configured(BASE, {**INTENTS, "system": "Name the intent.", "json_schema": True}).fleet
    assert isinstance(base, VllmMember)
    assert isinstance(member, AdapterMember)
    whole = member.on(base)
    assert (whole.price, whole.context_window, whole.sampling) == (base.price, 2048, base.sampling)
    assert (whole.system, whole.json_schema, whole.tools) == ("Name the intent.", True, True)
    assert (whole.name, whole.estimates, whole.max_running) == ("intents", None, None)


def test_the_base_may_stand_behind_its_adapters() -> None:
    assert [member.name for member in configured(INTENTS, BASE).fleet] == ["intents", "small"]


def test_bases_that_cannot_serve_an_adapter_are_refused() -> None:
    remote = {"name": "large", "backend": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
    assert "the base of 'intents' is 'small', which is no member of the fleet" in refusal(INTENTS)
    weightless = "which is no vllm member with weights of its own"
    assert f"is 'large', {weightless}" in refusal(remote, {**INTENTS, "base": "large"})
    on_itself = {**INTENTS, "name": "nested", "base": "intents"}
    assert f"the base of 'nested' is 'intents', {weightless}" in refusal(BASE, INTENTS, on_itself)


def test_more_adapters_than_the_engine_may_hold_are_refused() -> None:
    base = {**BASE, "engine": {"max_adapters": 2}}
    told = refusal(base, *many(3))
    assert told.endswith("fleet: 3 adapters on 'small', whose engine.max_adapters is 2")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"adapter": None}, "fleet.1.adapter: Input should be a valid string, got None"),
        ({"adapter": ""}, "fleet.1.adapter: String should have at least 1 character, got ''"),
        ({"weights": ["path:x"]}, "fleet.1.weights: unknown key; did you mean 'weights'?"),
        ({"engine": {}}, "fleet.1.engine: unknown key; did you mean 'engine'?"),
        ({"adpter": "x"}, "fleet.1.adpter: unknown key; did you mean 'adapter'?"),
    ],
)
def test_a_wrong_key_is_told_with_its_path(change: dict[str, Any], told: str) -> None:
    assert refusal(BASE, INTENTS | change).endswith(told)


def test_a_base_without_a_folder_and_a_folder_without_a_base_say_what_is_missing() -> None:
    for key in ("base", "adapter"):
        lame = {name: value for name, value in INTENTS.items() if name != key}
        assert f"fleet.1.{key}: Field required" in refusal(BASE, lame)


@pytest.mark.parametrize(("rank", "holds"), [(8, True), (32, True), (24, False), (512, False)])
def test_ranks_are_those_that_the_engine_knows(rank: int, holds: bool) -> None:
    base = {**BASE, "engine": {"max_lora_rank": rank}}
    if holds:
        (member,) = configured(base).fleet
        assert isinstance(member, VllmMember)
        assert member.engine.max_lora_rank == rank
    else:
        assert "fleet.0.engine.max_lora_rank: Input should be 8, 16, 32, 64 or 128" in refusal(base)


@pytest.mark.parametrize(
    ("said", "count", "slots"),
    [(None, 0, 0), (None, 1, 8), (None, 8, 8), (None, 9, 16), (0, 0, 0), (3, 2, 3)],
)
def test_the_engine_has_places_for_the_fleets_adapters_and_some_more(
    said: int | None, count: int, slots: int
) -> None:
    config = configured({**BASE, "engine": {"max_adapters": said}}, *many(count))
    (base,) = (member for member in config.fleet if isinstance(member, VllmMember))
    assert adapter_slots(config.fleet, base) == slots


def test_an_adapter_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    base = {"name": "small", "backend": "vllm", "weights": ["path:weights"]}
    named = [("a", "adapters/a"), ("b", "hf:org/b@0123"), ("c", "/opt/c")]
    fleet = [base, *({"name": n, "backend": "vllm", "base": "small", "adapter": where} for n, where in named)]
    (tmp_path / "router.yaml").write_text(yaml.safe_dump({"fleet": fleet}))
    found = load_config(tmp_path / "router.yaml", {}).fleet[1:]
    assert [each.adapter for each in found if isinstance(each, AdapterMember)] == [
        str(tmp_path / "adapters" / "a"),
        "hf:org/b@0123",
        "/opt/c",
    ]
