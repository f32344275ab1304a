"""The card of a model's shape: everything that `pinnace models card` says of a folder, by name.

Made from config.json, the headers of the weights and a few of their bytes; no weights are loaded.
"""

from pathlib import Path
from typing import Any

from pinnace.models.adapters.card import adapter_facts, is_adapter
from pinnace.models.cache import read_manifest
from pinnace.models.model_folder import check_model_folder, license_of
from pinnace.models.shapes.equal_layers import equal_layers
from pinnace.models.shapes.published import is_deep_thin, nearest, standing
from pinnace.models.shapes.shape import FLOPS_FORMULA, Shape, layer_tensors, read_config, shape_of
from pinnace.models.shapes.tensor_file import Tensor, read_tensors

CONTEXT = 1024
"""Tokens of context at which FLOPs are stated where nobody says otherwise."""


def read_shape(folder: Path) -> Shape:
    """The shape of the model in `folder`.

    :raises WeightsError: when there is no model there whose shape can be told.
    """
    check_model_folder(folder)
    return shape_of(read_config(folder), read_tensors(folder))


def folder_facts(folder: Path, *, context: int = CONTEXT, base: Path | None = None) -> dict[str, Any]:
    """The card of a folder, of a model or of an adapter.

    :param context: tokens of context that FLOPs are stated for.
    :param base: of an adapter, the folder of its base, where it is at hand.
    :raises WeightsError: when it is neither, or cannot be read.
    """
    if is_adapter(folder):
        total = None if base is None else read_shape(base).total
        return adapter_facts(folder, total) | {"licence": license_of(folder)}
    check_model_folder(folder)
    tensors = read_tensors(folder)
    shape = shape_of(read_config(folder), tensors)
    manifest = read_manifest(folder)
    licence = manifest.license if manifest else license_of(folder)
    return shape_facts(shape, context) | _sharing(shape, tensors) | {"licence": licence}


def shape_facts(shape: Shape, context: int = CONTEXT) -> dict[str, Any]:
    """What follows from a shape alone."""
    near = nearest(shape.layers, shape.width)
    return {
        "kind": "model",
        "layers": shape.layers,
        "width": shape.width,
        "width_per_layer": round(shape.width_per_layer, 2),
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_size": shape.head_size,
        "vocabulary": shape.vocabulary,
        "trained_window": shape.window,
        "parameters": shape.total,
        "body_parameters": shape.body,
        "embedding_share": round(shape.embedding / shape.total, 4),
        "tied_embeddings": shape.is_tied,
        "weight_bytes": shape.weight_bytes,
        "kv_bytes_per_token": shape.kv_bytes_per_token,
        "flops_per_token": shape.flops_per_token(context),
        "flops_context": context,
        "flops_formula": FLOPS_FORMULA,
        "deep_thin": is_deep_thin(shape.layers, shape.width),
        "nearest_published": [each.name for each in near],
        "standing": standing(shape.layers, shape.width),
    }


def _sharing(shape: Shape, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Which layers have equal weights, and how many parameters are left without the copies."""
    groups = equal_layers(tensors)
    layers = layer_tensors(tensors)
    copies = sum(
        tensors[name].size for group in groups for layer in group[1:] for name in layers[layer].values()
    )
    return {"shared_layers": [list(group) for group in groups], "distinct_parameters": shape.total - copies}
