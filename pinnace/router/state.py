"""The router state: what `pinnace fit` learnt, as a folder of two files, never a pickle.

`state.json` holds the format, where it came from, the labels and the gate; `arrays.safetensors` holds
the estimator's numbers and those per cluster and model. A state of an older format is refused: fitting it
again takes seconds. A small default state ships in the package.
"""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from pinnace.errors import StateError
from pinnace.models.in_place import put_in_place
from pinnace.router.calibration_rows import NAMES as CALIBRATION
from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.clusters import Clusters
from pinnace.router.escalation import EscalationGains
from pinnace.router.expectation import Expectation, as_stored, expectation_of, names_of, rounded
from pinnace.router.gate import Gate
from pinnace.router.types import FloatArray

FORMAT = 2
TABLE = "table.parquet"
"""The outcome table that a state was fitted from, where it was kept: it has the prompts in it."""
QUANTILES = 21
_PLAIN = ("centroids", "quality", "quality_sd", "output_tokens", "confidences", "gain", "gain_half")
_CALIBRATION = tuple(f"calibration.{name}" for name in CALIBRATION)
_MAY_BE_NAN = ("confidences", "calibration.scores")


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
    """What is expected of requests, and per cluster (k) and model (m) what was seen of them.

    `quality` and its standard deviation `quality_sd` (k, m) are for people to read; `output_tokens` (k, m)
    are expected completion tokens; `confidences` (k, m, 21) is how the gate's confidence spreads, NaN where
    no gate judges. `overall` (m, 2) holds what to expect of each model on a request like none that is
    known: the mean of its clusters' mean quality, and its mean completion tokens.
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
    expectation: Expectation
    gains: EscalationGains
    calibration: CalibrationRows


@dataclass(frozen=True, slots=True)
class _Format:
    """What `state.json` holds at least, whatever its format."""

    format: int


@dataclass(frozen=True, slots=True)
class _Header:
    """What `state.json` holds."""

    format: int
    models: tuple[str, ...]
    labels: tuple[str, ...]
    familiar: tuple[float, float]
    hold_tokens: int
    overall: tuple[tuple[float, float], ...]
    rows: int
    folds: Annotated[int, Field(ge=1, le=100)]
    gate: Gate
    provenance: Provenance


_FormatAdapter = TypeAdapter(_Format)
_HeaderAdapter = TypeAdapter(_Header)


def default_state() -> Path:
    """The folder of the state that ships in the package."""
    return Path(str(files("pinnace.router").joinpath("default_state")))


def load_state(folder: Path) -> RouterState:
    """Read a router state.

    :raises StateError: when a file is missing, broken, of another format, or the two disagree, or
        numbers are missing.
    """
    numpy_files: Any = importlib.import_module("safetensors.numpy")
    try:
        header = _header(folder)
        arrays: dict[str, Any] = numpy_files.load_file(str(folder / "arrays.safetensors"))
    except StateError:
        raise
    except (OSError, ValidationError) as error:
        raise StateError(f"{folder}: not a router state: {error}") from error
    except Exception as error:  # safetensors raises its own type for a broken file, from Rust
        raise StateError(f"{folder}/arrays.safetensors: not readable: {error}") from error
    if differing := set(arrays) ^ {*_PLAIN, *_CALIBRATION, *names_of(header.folds)}:
        raise StateError(
            f"{folder}: state.json expects arrays of other names, of these: {sorted(differing)!r}"
        )
    return _assemble(header, {n: np.asarray(a, dtype=np.float64) for n, a in arrays.items()}, folder)


def _header(folder: Path) -> _Header:
    text = (folder / "state.json").read_bytes()
    written = _FormatAdapter.validate_json(text).format
    if written == FORMAT:
        return _HeaderAdapter.validate_json(text)
    raise StateError(
        f"{folder}: expected a router state of format {FORMAT}, got {written}: refit it with 'pinnace fit'"
    )


def as_loaded(state: RouterState) -> RouterState:
    """The state as it comes back from disk: every number as its stored precision holds it."""
    arrays = rounded(_arrays(state))
    return _assembled(_header_of(state), arrays)


def _assemble(header: _Header, arrays: Mapping[str, FloatArray], folder: Path) -> RouterState:
    """The state of a header and arrays, once their shapes and numbers are found to fit."""
    for name, array in arrays.items():
        if name not in _MAY_BE_NAN and not np.isfinite(array).all():
            raise StateError(f"{folder}: expected finite numbers in {name!r}")
        if array.ndim == 0 or (name in ("centroids", "directions") and array.ndim != 2):
            raise StateError(
                f"{folder}: state.json expects arrays of other shapes, got {name!r} {array.shape!r}"
            )
    dim = arrays["centroids"].shape[1]
    expectation = expectation_of(arrays, dim=dim, folds=header.folds, rows=header.rows)
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = _shapes(header, dim, len(arrays["calibration.quality"])) | expectation.shapes()
    if wrong := {name: (expected[name], shape) for name, shape in shapes.items() if shape != expected[name]}:
        raise StateError(f"{folder}: state.json expects arrays of other shapes, expected and got: {wrong!r}")
    return _assembled(header, arrays)


def _assembled(header: _Header, arrays: Mapping[str, FloatArray]) -> RouterState:
    centroids = arrays["centroids"]
    return RouterState(
        models=header.models,
        clusters=Clusters(centroids, header.labels, header.familiar),
        quality=arrays["quality"],
        quality_sd=arrays["quality_sd"],
        output_tokens=arrays["output_tokens"],
        confidences=arrays["confidences"],
        overall=np.asarray(header.overall, dtype=np.float64),
        gate=header.gate,
        hold_tokens=header.hold_tokens,
        provenance=header.provenance,
        expectation=expectation_of(arrays, dim=centroids.shape[1], folds=header.folds, rows=header.rows),
        gains=EscalationGains(arrays["gain"], arrays["gain_half"]),
        calibration=CalibrationRows(*(arrays[name] for name in _CALIBRATION)),
    )


def _shapes(header: _Header, dim: int, rows: int) -> dict[str, tuple[int, ...]]:
    """The shapes that go with the header's labels and models."""
    k, m = len(header.labels), len(header.models)
    found: dict[str, tuple[int, ...]] = {
        "centroids": (k, dim),
        "quality": (k, m),
        "quality_sd": (k, m),
        "output_tokens": (k, m),
        "confidences": (k, m, QUANTILES),
        "gain": (k + 1, m, m),
        "gain_half": (k + 1, m, m),
        "residual": (m,),
    }
    for name in _CALIBRATION:
        found[name] = (rows,) if name == "calibration.prompt_tokens" else (rows, m)
    return found


def _arrays(state: RouterState) -> dict[str, FloatArray]:
    """Every array of a state by the name that it has on disk."""
    return {
        "centroids": state.clusters.centroids,
        "quality": state.quality,
        "quality_sd": state.quality_sd,
        "output_tokens": state.output_tokens,
        "confidences": state.confidences,
        "gain": state.gains.gain,
        "gain_half": state.gains.half,
        **{f"calibration.{name}": getattr(state.calibration, name) for name in CALIBRATION},
        **state.expectation.arrays(),
    }


def save_state(state: RouterState, folder: Path, *, table: Callable[[Path], None] | None = None) -> None:
    """Write `state` beside `folder`, then put it in its place whole.

    :param table: writes the outcome table that it was fitted from to the path that it is given.

    :raises StateError: when something else than a router state lies there.
    """
    folder = folder.absolute()
    if not can_replace(folder):
        raise StateError(f"{folder}: expected a router state or nothing to write over, got something else")
    header = _header_of(state)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        numpy_files: Any = importlib.import_module("safetensors.numpy")
        numpy_files.save_file(
            {name: as_stored(name, array) for name, array in _arrays(state).items()},
            str(beside / "arrays.safetensors"),
        )
        text = json.dumps(_HeaderAdapter.dump_python(header, mode="json"), indent=1, ensure_ascii=False)
        (beside / "state.json").write_text(text + "\n", encoding="utf-8")
        (beside / "arrays.safetensors").chmod(0o644)
        if table is not None:
            table(beside / TABLE)
        put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _header_of(state: RouterState) -> _Header:
    return _Header(
        format=FORMAT,
        models=state.models,
        labels=state.clusters.labels,
        familiar=state.clusters.familiar,
        hold_tokens=state.hold_tokens,
        overall=tuple((float(quality), float(tokens)) for quality, tokens in state.overall),
        rows=state.expectation.rows,
        folds=len(state.expectation.folds),
        gate=state.gate,
        provenance=state.provenance,
    )


def can_replace(folder: Path) -> bool:
    """Whether a state may be written to `folder`: it is not there, is empty, or holds a router state."""
    if not folder.exists():
        return True
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {"a file"}
    return names <= {"state.json", "arrays.safetensors", TABLE}
