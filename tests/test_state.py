"""The router state on disk: what is written is read back, and what is broken is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from router_fixtures import small_state
from safetensors.numpy import load_file, save_file

from pinnace.errors import StateError
from pinnace.router.calibration_rows import NAMES
from pinnace.router.gate import Gate
from pinnace.router.state import RouterState, as_loaded, default_state, load_state, save_state


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
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.clusters.centroids, other.clusters.centroids)
    arrays, others = one.expectation.arrays(), other.expectation.arrays()
    assert arrays.keys() == others.keys()
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name], err_msg=name)
    for name in ("gain", "half"):
        np.testing.assert_array_equal(getattr(one.gains, name), getattr(other.gains, name))
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one.calibration, name), getattr(other.calibration, name))
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


@pytest.mark.parametrize("written", [1, 99])
def test_another_format_is_refused_and_says_what_to_do(folder: Path, written: int) -> None:
    header = {"format": written, "models": ["small"]}
    (folder / "state.json").write_text(json.dumps(header), encoding="utf-8")
    said = f"expected a router state of format 2, got {written}: refit it with 'pinnace fit'"
    with pytest.raises(StateError, match=said):
        load_state(folder)


@pytest.mark.parametrize(
    "name", ["centroids", "heads.weights", "fold1.kind_table", "calibration.quality", "gain"]
)
def test_numbers_that_are_missing_are_refused(folder: Path, name: str) -> None:
    replace_array(folder, name, lambda array: array * np.nan)
    with pytest.raises(StateError, match=f"expected finite numbers in '{name}'"):
        load_state(folder)


@pytest.mark.parametrize(
    "name",
    ["centroids", "quality", "directions", "heads.weights", "fold0.kind_weights", "covariance", "gain"],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (1, 2, 3, 4)])
def test_arrays_of_other_shapes_are_refused(folder: Path, name: str, shape: tuple[int, ...]) -> None:
    replace_array(folder, name, lambda array: np.zeros(shape, array.dtype))
    with pytest.raises(StateError, match=r"state\.json expects arrays of other shapes"):
        load_state(folder)


def test_an_array_too_few_or_too_many_is_refused(folder: Path) -> None:
    change(folder, folds=3)
    with pytest.raises(StateError, match=r"expects arrays of other names, of these: \['fold2"):
        load_state(folder)


def test_no_folds_are_refused(folder: Path) -> None:
    change(folder, folds=0)
    with pytest.raises(StateError, match="not a router state"):
        load_state(folder)


def replace_array(folder: Path, name: str, change_it: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one array of the folder's."""
    path = str(folder / "arrays.safetensors")
    arrays = load_file(path)
    save_file({**arrays, name: np.ascontiguousarray(change_it(arrays[name]))}, path)


def test_a_state_in_memory_is_the_one_on_disk(folder: Path) -> None:
    state = small_state()
    assert_same(as_loaded(state), state)
    assert_same(load_state(folder), state)


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
    assert sum(path.stat().st_size for path in default_state().iterdir()) < 5_000_000
    assert len(state.calibration.quality) >= 1000
    assert state.provenance.metrics["estimates/mse"] < 0.9 * state.provenance.metrics["estimates/mse_means"]
