"""The card of a LoRA adapter: its rank, where it sits in its base, and how large it is beside that.

Reads adapter_config.json and the header of the weights, in the layout of peft; loads nothing.
"""

from pathlib import Path
from typing import Any

from pinnace.errors import WeightsError
from pinnace.models.shapes.shape import read_object
from pinnace.models.shapes.tensor_file import tensors_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds an adapter rather than a model."""
    return (folder / CONFIG).is_file()


def adapter_facts(folder: Path, base_parameters: int | None = None) -> dict[str, Any]:
    """What an adapter's folder says of itself.

    :param base_parameters: those of its base, where that is known; the share is of them.
    :raises WeightsError: when it is no adapter that can be read.
    """
    told = read_object(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        raise WeightsError(f"{folder}: expected {WEIGHTS} beside {CONFIG}")
    tensors = tensors_of(folder / WEIGHTS)
    parameters = sum(tensor.size for tensor in tensors.values())
    modules = told.get("target_modules")
    return {
        "kind": "adapter",
        "folder": str(folder),
        "base": told.get("base_model_name_or_path"),
        "rank": told.get("r"),
        "alpha": told.get("lora_alpha"),
        "target_modules": sorted(modules) if isinstance(modules, list) else modules,  # pyright: ignore[reportUnknownArgumentType]
        "parameters": parameters,
        "bytes": sum(tensor.nbytes for tensor in tensors.values()),
        "share_of_base": None if base_parameters is None else parameters / base_parameters,
    }
