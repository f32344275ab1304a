"""Variables: where `${NAME}` is taken, and what becomes of members whose variables are not set."""

import os
from pathlib import Path

import pytest
from config_fixtures import DESIGN, SECRET, complaint, large, read, small

from pinnace.config import ScriptedMember, load_config, parse_config
from pinnace.errors import ConfigError


def test_an_optional_member_without_its_variables_is_absent_and_says_why(tmp_path: Path) -> None:
    config = read(tmp_path, DESIGN)
    assert [member.name for member in config.fleet] == ["smollm2-135m"]
    path = tmp_path / "router.yaml"
    why = f"{path}: fleet.1.base_url: the environment variable PINNACE_LARGE_URL is not set"
    assert config.absent == {"large": why}


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


def test_an_absent_member_keeps_its_name() -> None:
    twice = small()["fleet"] + [large(name="small", api_key="${KEY}", optional=True)["fleet"][0]]
    assert "every name must differ, got ['small'] more than once" in complaint({"fleet": twice})


def test_the_environment_is_the_processs_own_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "PINNACE_LARGE_URL", "http://a")
    monkeypatch.setitem(os.environ, "PINNACE_LARGE_KEY", SECRET)
    path = tmp_path / "router.yaml"
    path.write_text(DESIGN, encoding="utf-8")
    assert load_config(path).absent == {}
