"""`pinnace keys new`: a fresh key once, and the lines that let it in."""

import hashlib

import pytest
import yaml
from cli_fixtures import Run, runner
from key_fixtures import ask
from server_fixtures import house

from pinnace.config import Key


@pytest.fixture
def pinnace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `pinnace` with the arguments that it is given."""
    return runner(monkeypatch, capsys)


def test_it_prints_a_key_once_and_lines_with_its_hash(pinnace: Run) -> None:
    done = pinnace("keys", "new", "alice")
    key, *lines = done.out.splitlines()
    assert done.code == 0
    assert key.startswith("pk-")
    assert len(key) >= 3 + 43  # 256 bits in base 64
    (section,) = yaml.safe_load("\n".join(lines))["server"]["keys"]
    assert section == {"name": "alice", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    assert Key.model_validate(section).name == "alice"
    assert key not in done.err


async def test_the_lines_let_the_key_in(pinnace: Run) -> None:
    told = pinnace("keys", "new", "alice", "--json").json()
    async with house(keys=[{"name": told["name"], "sha256": told["sha256"]}]) as place:
        assert (await ask(place, told["key"])).status_code == 200


def test_every_key_is_another(pinnace: Run) -> None:
    assert len({pinnace("keys", "new", "a", "--json").json()["key"] for _ in range(5)}) == 5


@pytest.mark.parametrize("name", ["", "a b", "-", "x" * 65, "a:b"])
def test_a_bad_name_is_bad_usage(pinnace: Run, name: str) -> None:
    done = pinnace("keys", "new", "--", name)
    assert (done.code, done.out) == (2, "")
    assert "NAME: expected 1 to 64 letters" in " ".join(done.err.split())


def test_a_name_that_looks_like_a_number_stays_a_name(pinnace: Run) -> None:
    lines = pinnace("keys", "new", "007").out.splitlines()[1:]
    assert yaml.safe_load("\n".join(lines))["server"]["keys"][0]["name"] == "007"
