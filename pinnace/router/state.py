"""The router state: what `pinnace fit` learnt, as a folder of two files, never a pickle.

`state.json` holds the format, where it came from, the labels and the gate; `arrays.safetensors` holds
the numbers per cluster and model. A small default state ships in the package.
"""

import importlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pinnace.errors import StateError
from pinnace.router.clusters import Clusters
from pinnace.router.gate import Gate
from pinnace.router.types import FloatArray

FORMAT = 1
QUANTILES = 21
_ARRAYS = ("centroids", "quality", "quality_sd", "output_tokens", "confidences")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a state came from: rows and their hash, per-task counts and scores, and metrics at fit time."""

    created: str
    pinnace: str
    embedder: str
    rows: int
    table_sha256: str
    seed: int
    tasks: Mapping[str, Mapping[str, float]]
    metrics: Mapping[str, float]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouterState:
    """Per cluster (k) and model (m): expected quality and its standard deviation (k, m), expected
    completion tokens (k, m), and how the gate's confidence spreads (k, m, 21), NaN where no gate judges.
    `overall` holds the mean quality and completion tokens of each model over all rows, (m, 2).
    """

    models: tuple[str, ...]
    clusters: Clusters
    quality: FloatArray
    quality_sd: FloatArray
    output_tokens: FloatArray
    confidences: FloatArray
    overall: FloatArray
    gate: Gate
    hold_tokens: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class _Header:
    """What `state.json` holds."""

    format: int
    models: tuple[str, ...]
    labels: tuple[str, ...]
    familiar: tuple[float, float]
    hold_tokens: int
    overall: tuple[tuple[float, float], ...]
    gate: Gate
    provenance: Provenance


_HeaderAdapter = TypeAdapter(_Header)


def default_state() -> Path:
    """The folder of the state that ships in the package."""
    return Path(str(files("pinnace.router").joinpath("default_state")))


def load_state(folder: Path) -> RouterState:
    """Read a router state.

    :raises StateError: when a file is missing, broken, of another format, or the two disagree.
    """
    numpy_files: Any = importlib.import_module("safetensors.numpy")
    try:
        header = _HeaderAdapter.validate_json((folder / "state.json").read_bytes())
        arrays: dict[str, Any] = numpy_files.load_file(str(folder / "arrays.safetensors"))
    except (OSError, ValidationError) as error:
        raise StateError(f"{folder}: not a router state: {error}") from error
    except Exception as error:  # safetensors raises its own type for a broken file, from Rust
        raise StateError(f"{folder}/arrays.safetensors: not readable: {error}") from error
    if header.format != FORMAT:
        raise StateError(f"{folder}: expected a router state of format {FORMAT}, got {header.format}")
    shapes = {name: tuple(arrays[name].shape) for name in _ARRAYS if name in arrays}
    expected = _shapes(header, shapes.get("centroids", (0, 0)))
    if shapes != expected:
        raise StateError(f"{folder}: state.json expects arrays {expected!r}, got {shapes!r}")
    return _assemble(header, {name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS})


def _shapes(header: _Header, centroids: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes that go with the header's labels and models."""
    k, m = len(header.labels), len(header.models)
    each = {"quality": (k, m), "quality_sd": (k, m), "output_tokens": (k, m)}
    return {"centroids": (k, centroids[-1]), **each, "confidences": (k, m, QUANTILES)}


def _assemble(header: _Header, arrays: Mapping[str, FloatArray]) -> RouterState:
    return RouterState(
        models=header.models,
        clusters=Clusters(arrays["centroids"], header.labels, header.familiar),
        quality=arrays["quality"],
        quality_sd=arrays["quality_sd"],
        output_tokens=arrays["output_tokens"],
        confidences=arrays["confidences"],
        overall=np.asarray(header.overall, dtype=np.float64),
        gate=header.gate,
        hold_tokens=header.hold_tokens,
        provenance=header.provenance,
    )


def save_state(state: RouterState, folder: Path) -> None:
    """Write `state` beside `folder`, then put it in its place whole.

    :raises StateError: when something else than a router state lies there.
    """
    folder = folder.absolute()
    if not can_replace(folder):
        raise StateError(f"{folder}: expected a router state or nothing to write over, got something else")
    arrays = {
        "centroids": state.clusters.centroids,
        "quality": state.quality,
        "quality_sd": state.quality_sd,
        "output_tokens": state.output_tokens,
        "confidences": state.confidences,
    }
    header = _Header(
        format=FORMAT,
        models=state.models,
        labels=state.clusters.labels,
        familiar=state.clusters.familiar,
        hold_tokens=state.hold_tokens,
        overall=tuple((float(quality), float(tokens)) for quality, tokens in state.overall),
        gate=state.gate,
        provenance=state.provenance,
    )
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        numpy_files: Any = importlib.import_module("safetensors.numpy")
        numpy_files.save_file(
            {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()},
            str(beside / "arrays.safetensors"),
        )
        text = json.dumps(_HeaderAdapter.dump_python(header, mode="json"), indent=1, ensure_ascii=False)
        (beside / "state.json").write_text(text + "\n", encoding="utf-8")
        (beside / "arrays.safetensors").chmod(0o644)
        _put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def can_replace(folder: Path) -> bool:
    """Whether a state may be written to `folder`: it is not there, is empty, or holds a router state."""
    if not folder.exists():
        return True
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {"a file"}
    return names <= {"state.json", "arrays.safetensors"}


def _put_in_place(beside: Path, folder: Path) -> None:
    """Swap `beside` in for `folder`: the old state stays until the new one is whole."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
