"""Block-wise weight sharing: a checkpoint in which each layer follows itself, with the same weights.

The "immediate block-wise repeat" of MobileLLM-LS (Liu et al., arXiv 2402.14905, section 2.3): a model that is
twice as deep has the parameters of the one that it was made of. What is written is a stock checkpoint whose
adjacent layers are equal, so that any loader reads it; it takes the disk, the memory and the KV cache of its
layers. A model that was not trained that way is not better for it. Copies bytes: loads no tensor.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pinnace.errors import WeightsError
from pinnace.models.cache import MANIFEST, Manifest, read_manifest
from pinnace.models.model_folder import MODEL_FILES, check_model_folder, license_of
from pinnace.models.shapes.shape import LAYER, layer_tensors, read_config
from pinnace.models.shapes.tensor_file import Tensor, header_bytes, read_header, tensors_of

INDEX = "model.safetensors.index.json"
MOST_TIMES = 8


def share_layers(folder: Path, out: Path, *, times: int = 2) -> Path:
    """Write to `out` the model in `folder` with every layer `times` times in a row.

    :return: `out`, which is there whole or not at all.
    :raises WeightsError: when `folder` is no model whose layers can be told, or `out` is there already.
    """
    if not 2 <= times <= MOST_TIMES:
        raise WeightsError(f"times: expected 2 to {MOST_TIMES}, got {times!r}")
    if out.exists():
        raise WeightsError(f"{out} is there already")
    check_model_folder(folder)
    config = repeated_config(read_config(folder), times)
    files = {path.name: tensors_of(path) for path in sorted(folder.glob("*.safetensors"))}
    _check_layers({name: tensor for file in files.values() for name, tensor in file.items()}, config, times)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.tmp-", dir=out.parent) as scratch:
            fresh = Path(scratch, "model")
            fresh.mkdir()
            _fill(folder, fresh, config, files, times)
            fresh.rename(out)
    except OSError as error:
        raise WeightsError(f"cannot write {out}: {error}") from error
    return out


def repeated_config(config: Mapping[str, Any], times: int) -> dict[str, Any]:
    """config.json of the deeper model: `times` as many layers, and lists with an entry a layer to match.

    :raises WeightsError: where it does not say how many layers there are.
    """
    layers: Any = config.get("num_hidden_layers")
    if not isinstance(layers, int) or layers < 1:
        raise WeightsError(f"config.json: expected num_hidden_layers to be a number from 1, got {layers!r}")
    found = {key: _repeated(value, layers, times) for key, value in config.items()}
    return found | {"num_hidden_layers": layers * times}


def repeated_name(name: str, times: int) -> list[str]:
    """What a tensor is called in the deeper model: once, or `times` names where it belongs to a layer."""
    match = LAYER.fullmatch(name)
    if match is None:
        return [name]
    first = int(match["layer"]) * times
    return [f"{match['before']}{first + number}{match['after']}" for number in range(times)]


def _repeated(value: Any, layers: int, times: int) -> Any:
    if not isinstance(value, list):
        return value
    entries = cast(list[Any], value)
    return entries if len(entries) != layers else [each for each in entries for _ in range(times)]


def _check_layers(tensors: Mapping[str, Tensor], config: Mapping[str, Any], times: int) -> None:
    found = layer_tensors(tensors)
    wanted = int(config["num_hidden_layers"]) // times
    if sorted(found) != list(range(wanted)):
        raise WeightsError(f"expected tensors of layers 0 to {wanted - 1}, got those of {len(found)} layers")


def _fill(
    folder: Path,
    fresh: Path,
    config: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Tensor]],
    times: int,
) -> None:
    for name, tensors in files.items():
        _write_file(folder / name, fresh / name, tensors, times)
    (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if (folder / INDEX).is_file():
        _write_index(fresh)
    _copy_rest(folder, fresh)
    manifest = read_manifest(folder)
    made = Manifest(
        source=f"every layer {times} times: {manifest.source if manifest else folder.resolve()}",
        license=manifest.license if manifest else license_of(folder),
        license_files=manifest.license_files if manifest else (),
        files={path.relative_to(fresh).as_posix(): path.stat().st_size for path in _files(fresh)},
    )
    (fresh / MANIFEST).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _write_file(source: Path, target: Path, tensors: Mapping[str, Tensor], times: int) -> None:
    """One safetensors file, tensor by tensor."""
    header: dict[str, Any] = {}
    metadata: Any = read_header(source)[0].get("__metadata__")
    if metadata is not None:
        header["__metadata__"] = metadata
    at = 0
    for name, tensor in tensors.items():
        for new in repeated_name(name, times):
            offsets = [at, at := at + tensor.nbytes]
            header[new] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
    with target.open("wb") as file:
        file.write(header_bytes(header))
        for name, tensor in tensors.items():
            for _ in repeated_name(name, times):
                file.writelines(tensor.chunks())


def _write_index(fresh: Path) -> None:
    """The index of a model in several files."""
    files = {path.name: tensors_of(path) for path in sorted(fresh.glob("*.safetensors"))}
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for own in files.values() for tensor in own.values())},
        "weight_map": {name: file for file, own in files.items() for name in own},
    }
    (fresh / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _copy_rest(folder: Path, fresh: Path) -> None:
    """Tokenizer, chat template and licences, as they are; of pickles and code nothing."""
    for pattern in (*MODEL_FILES, "tokenizer.model"):
        for path in folder.glob(pattern):
            if path.is_file() and path.name != MANIFEST and not (fresh / path.name).exists():
                shutil.copyfile(path, fresh / path.name)
    if (folder / "licenses").is_dir():
        shutil.copytree(folder / "licenses", fresh / "licenses", symlinks=False)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
