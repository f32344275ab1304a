"""Secrets: no complaint and no configuration shows one."""

import traceback
from typing import Any

import pytest
from config_fixtures import SECRET, complaint, large, small
from pydantic import ValidationError

from pinnace.config import OpenAIMember, parse_config
from pinnace.errors import ConfigError

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
    "url", [f"http://me:{SECRET}@a/v1", f"https://a/v1?key={SECRET}", f"https://a#{SECRET}"]
)
def test_an_address_carries_no_secret(url: str) -> None:
    said = complaint(large(base_url=url))
    assert "expected neither user, password, query nor fragment" in said
    assert SECRET not in said
