"""The router state on disk: what is written is read back, and what is broken is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from router_fixtures import small_state

from pinnace.errors import StateError
from pinnace.router.gate import Gate
from pinnace.router.state import RouterState, default_state, load_state, save_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "state"
    save_state(small_state(), folder)
    return folder


def change(folder: Path, **fields: Any) -> None:
    """Change what `state.json` says."""
    header = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    (folder / "state.json").write_text(json.dumps(header | fields), encoding="utf-8")


def assert_same(one: RouterState, other: RouterState) -> None:
    for name in ("quality", "quality_sd", "output_tokens", "confidences", "overall"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6)
    np.testing.assert_allclose(one.clusters.centroids, other.clusters.centroids, rtol=1e-6)
    assert one.clusters.labels == other.clusters.labels
    assert one.clusters.familiar == other.clusters.familiar
    for name in ("models", "gate", "hold_tokens", "provenance"):
        assert getattr(one, name) == getattr(other, name)


def test_what_is_saved_is_loaded(folder: Path) -> None:
    assert_same(load_state(folder), small_state())
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.safetensors", "state.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["state"]


def test_a_newer_state_takes_the_place_of_an_older_one(folder: Path) -> None:
    newer = replace(small_state(), hold_tokens=9)
    save_state(newer, folder)
    assert load_state(folder).hold_tokens == 9
    assert [path.name for path in folder.parent.iterdir()] == ["state"]


def test_a_state_that_cannot_be_written_leaves_the_old_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(small_state(), hold_tokens=9, gate=Gate({"small": object()}, {}))  # type: ignore[dict-item]
    with pytest.raises(Exception, match="object"):
        save_state(broken, folder)
    assert load_state(folder).hold_tokens == 3
    assert [path.name for path in folder.parent.iterdir()] == ["state"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"nowhere: not a router state"):
        load_state(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"[" * 10_000])
def test_a_broken_file_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(StateError, match="state"):
        load_state(folder)


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(StateError, match="not a router state"):
        load_state(folder)


def test_another_format_is_refused(folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(StateError, match="expected a router state of format 1, got 99"):
        load_state(folder)


def test_files_that_disagree_are_refused(folder: Path) -> None:
    models = json.loads((folder / "state.json").read_text(encoding="utf-8"))["models"]
    change(folder, models=[*models, "one-more"])
    with pytest.raises(StateError, match=r"state\.json expects arrays"):
        load_state(folder)


def test_nothing_but_a_router_state_is_written_over(folder: Path, tmp_path: Path) -> None:
    state = load_state(folder)
    save_state(state, folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    for wrong in (other, other / "thesis.txt"):
        with pytest.raises(StateError, match="expected a router state or nothing to write over"):
            save_state(state, wrong)
    assert (other / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_the_default_state_ships_and_says_where_it_came_from() -> None:
    state = load_state(default_state())
    k, m = len(state.clusters.labels), len(state.models)
    assert "smollm2-135m" in state.models
    assert state.clusters.centroids.shape[0] == k
    assert state.quality.shape == state.quality_sd.shape == state.output_tokens.shape == (k, m)
    assert np.isfinite(state.quality).all()
    assert ((state.quality >= 0) & (state.quality <= 1)).all()
    assert state.gate.can_judge("smollm2-135m")
    assert state.provenance.rows >= 1000
    assert {"gsm8k", "boolq", "trec"} <= set(state.provenance.tasks)
    np.testing.assert_allclose(np.linalg.norm(state.clusters.centroids, axis=1), 1, atol=1e-5)
