import subprocess
import sys
from pathlib import Path

import pytest

from pinnace.errors import WeightsError
from pinnace.models.cache import Manifest, default_cache, is_ready, make_once, read_manifest

ROOT = Path(__file__).parents[1]
CHILD = """
import os, sys, time
from pathlib import Path
from pinnace.models.cache import Manifest, make_once
def fill(folder, scratch):
    with open(sys.argv[2], "a") as calls:
        calls.write("call\\n")
    (folder / "config.json").write_text("{}")
    if sys.argv[3] == "die":
        os._exit(9)
    time.sleep(0.3)
    return Manifest(source="child")
print(make_once(Path(sys.argv[1]), fill))
"""


def _child(slot: Path, calls: Path, end: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(slot), str(calls), end]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _fill(folder: Path, scratch: Path) -> Manifest:
    (scratch / "download").write_text("gone afterwards")
    (folder / "config.json").write_text("{}")
    return Manifest(source="test", license="Apache-2.0", license_files=("LICENSE",))


def _never(folder: Path, scratch: Path) -> Manifest:
    raise AssertionError("filled twice")


def test_a_slot_is_filled_once_and_says_what_it_holds(tmp_path: Path) -> None:
    slot = tmp_path / "wheels" / "tiny"
    folder = make_once(slot, _fill)
    assert make_once(slot, _never) == folder
    assert read_manifest(folder) == Manifest(
        source="test", license="Apache-2.0", license_files=("LICENSE",), files={"config.json": 2}
    )
    assert {path.name for path in slot.parent.iterdir()} == {"tiny", ".tiny.lock"}


def test_two_processes_at_once_fill_it_once(tmp_path: Path) -> None:
    slot, calls = tmp_path / "tiny", tmp_path / "calls"
    children = [_child(slot, calls, "well") for _ in range(2)]
    said = [child.communicate(timeout=60)[0].strip() for child in children]
    assert said == [str(slot / "model")] * 2
    assert calls.read_text() == "call\n"


def test_what_a_dead_process_left_is_cleared_and_its_lock_is_free(tmp_path: Path) -> None:
    slot = tmp_path / "tiny"
    child = _child(slot, tmp_path / "calls", "die")
    child.communicate(timeout=60)
    assert child.returncode == 9
    assert list(tmp_path.glob(".tiny.tmp-*"))
    make_once(slot, _fill)
    assert not list(tmp_path.glob(".tiny.tmp-*"))


def test_a_fill_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path, scratch: Path) -> Manifest:
        (folder / "half").write_text("half")
        raise WeightsError("no more")

    with pytest.raises(WeightsError, match="no more"):
        make_once(tmp_path / "tiny", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".tiny.lock"]


@pytest.mark.parametrize("damage", ["missing", "short", "manifest", "other format"])
def test_a_damaged_slot_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = make_once(tmp_path / "tiny", _fill)
    manifest = folder / "pinnace.json"
    if damage == "missing":
        (folder / "config.json").unlink()
    elif damage == "short":
        (folder / "config.json").write_text("{")
    elif damage == "manifest":
        manifest.write_text("[]")
    else:
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 0'))
    assert not is_ready(folder)
    make_once(tmp_path / "tiny", _fill)
    assert is_ready(folder)


def test_a_file_that_others_put_beside_the_model_does_no_harm(tmp_path: Path) -> None:
    folder = make_once(tmp_path / "tiny", _fill)
    (folder / "notes.txt").write_text("mine")
    assert make_once(tmp_path / "tiny", _never) == folder


def test_a_cache_that_cannot_be_written_is_a_weights_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"cannot make .*tiny"):
        make_once(tmp_path / "file" / "tiny", _fill)


def test_the_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNACE_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    monkeypatch.setenv("HOME", "/three")
    assert default_cache() == Path("/one")
    monkeypatch.delenv("PINNACE_CACHE")
    assert default_cache() == Path("/two/pinnace")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path("/three/.cache/pinnace")
