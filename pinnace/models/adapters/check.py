"""Whether a folder is an adapter that a base can serve: its files, its rank, its shapes and its numbers.

Reads the configuration, and the weights in pieces as bits; loads nothing. What it lets pass is what
`engine` may hand to an engine: one adapter's weights are multiplied beside all others', so none of
them may be infinite.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from pinnace.errors import WeightsError
from pinnace.models.shapes.tensor_file import Tensor, read_tensors, tensors_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
MOST_CONFIG_BYTES = 1 << 20
MOST_BYTES = 256 << 20
"""Of an adapter's weights."""
MOST_SCALE = 1024
"""Of `lora_alpha` over the rank."""
_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_BITS = {
    "BF16": ("<u2", 0x7FFF, 0x4780),
    "F16": ("<u2", 0x7FFF, 0x7C00),
    "F32": ("<u4", 0x7FFFFFFF, 0x47800000),
}
"""Per type: its bits as an integer, those without the sign, and where they stand for 65,536 or infinity."""


def check_adapter(folder: Path, base: Path, max_rank: int) -> int:
    """Refuse what the base's engine could not serve; returns the adapter's rank.

    :param base: the folder of the base's weights.
    :param max_rank: the highest rank that the engine is started for.
    :raises WeightsError: says what was expected and what was got.
    """
    _check_files(folder)
    rank = _rank(folder / CONFIG, max_rank)
    tensors = tensors_of(folder / WEIGHTS)
    _check_shapes(tensors, read_tensors(base), max_rank)
    _check_numbers(tensors)
    return rank


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise WeightsError(f"no folder at {folder}")
    if (folder / PICKLE).exists() and not (folder / WEIGHTS).exists():
        raise WeightsError(f"{folder}: expected {WEIGHTS}, got {PICKLE}, a pickle, which is never loaded")
    for name, most in ((CONFIG, MOST_CONFIG_BYTES), (WEIGHTS, MOST_BYTES)):
        file = folder / name
        if not file.is_file():
            raise WeightsError(f"{folder}: expected {CONFIG} and {WEIGHTS}, got no {name}")
        if file.stat().st_size > most:
            raise WeightsError(f"{file}: expected at most {most} bytes, got {file.stat().st_size}")


def _rank(path: Path, max_rank: int) -> int:
    try:
        config: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise WeightsError(f"{path}: expected JSON") from None
    if not isinstance(config, dict) or cast(dict[str, Any], config).get("peft_type", "LORA") != "LORA":
        raise WeightsError(f"{path}: expected the configuration of a LoRA adapter")
    said = cast(dict[str, Any], config)
    rank, alpha = said.get("r"), said.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise WeightsError(f"{path}: r: expected a rank of at least 1, got {rank!r}")
    if rank > max_rank:
        raise WeightsError(
            f"{path}: r: expected a rank of at most {max_rank} (engine.max_lora_rank of the base), got {rank}"
        )
    if not isinstance(alpha, int | float) or not 0 < alpha <= MOST_SCALE * rank:
        raise WeightsError(f"{path}: lora_alpha: expected a number up to {MOST_SCALE} times r, got {alpha!r}")
    return rank


def _check_shapes(tensors: Mapping[str, Tensor], base: Mapping[str, Tensor], max_rank: int) -> None:
    """Each A must fit the inputs of a linear layer of the base, each B its outputs, and one the other."""
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise WeightsError(f"{WEIGHTS}: expected lora_A and lora_B of linear layers only, got {name!r}")
        layer = base.get(f"{match['module']}.weight")
        if layer is None or len(layer.shape) != 2:
            raise WeightsError(f"{WEIGHTS}: the base has no linear layer {match['module']!r}")
        outputs, inputs = layer.shape
        at, expected = (1, inputs) if match["side"] == "A" else (0, outputs)
        if len(tensor.shape) != 2 or tensor.shape[at] != expected:
            shape = f"(r, {inputs})" if at else f"({outputs}, r)"
            raise WeightsError(f"{WEIGHTS}: {name}: the base needs {shape}, got {tensor.shape}")
        halves.setdefault(match["module"], {})[match["side"]] = tensor
    if not halves:
        raise WeightsError(f"{WEIGHTS}: expected lora_A and lora_B of linear layers, got no tensor")
    for module, pair in halves.items():
        if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            raise WeightsError(f"{WEIGHTS}: {module}: expected lora_A and lora_B of one rank")
        if pair["A"].shape[0] > max_rank:
            rank = pair["A"].shape[0]
            raise WeightsError(f"{WEIGHTS}: {module}: expected a rank of at most {max_rank}, got {rank}")


def _check_numbers(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _BITS:
            raise WeightsError(f"{WEIGHTS}: {name}: expected one of {sorted(_BITS)}, got {tensor.dtype!r}")
        dtype, unsigned, limit = _BITS[tensor.dtype]
        if tensor.nbytes != tensor.size * int(dtype[-1]):
            raise WeightsError(f"{WEIGHTS}: {name}: its bytes are not those of its shape")
        if _is_any_above(tensor.chunks(), dtype, unsigned, limit):
            raise WeightsError(f"{WEIGHTS}: {name}: expected numbers below 65536, got larger, or none at all")


def _is_any_above(chunks: Iterable[bytes], dtype: str, unsigned: int, limit: int) -> bool:
    return any(bool((np.frombuffer(chunk, dtype) & unsigned >= limit).any()) for chunk in chunks)
