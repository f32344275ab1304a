"""The YAML document: plain YAML is read, what is wrong or too clever is refused, and no line is quoted."""

import traceback
from pathlib import Path

import pytest
from config_fixtures import SECRET, read

from pinnace.config import MAX_BYTES, load_config
from pinnace.errors import ConfigError


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
