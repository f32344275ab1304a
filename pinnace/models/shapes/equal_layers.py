"""Which layers of a model share their weights: layers all of whose tensors have equal bytes.

Compares layers that look alike by the first bytes of their tensors, so of a model that shares nothing it
reads a little of each layer, and never holds more than two chunks.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from pinnace.models.shapes.shape import layer_tensors
from pinnace.models.shapes.tensor_file import Tensor

_LOOK = 4096
"""Bytes of each tensor by which layers are sorted before they are compared."""


def equal_layers(tensors: Mapping[str, Tensor]) -> tuple[tuple[int, ...], ...]:
    """Groups of two and more layers with equal weights, each in ascending order."""
    layers = layer_tensors(tensors)
    alike: dict[str, list[int]] = {}
    for number in sorted(layers):
        alike.setdefault(_look(layers[number], tensors), []).append(number)
    groups = [group for same in alike.values() for group in _split(same, layers, tensors)]
    return tuple(sorted(group for group in groups if len(group) > 1))


def _look(names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for after in sorted(names):
        tensor = tensors[names[after]]
        found.update(f"{after} {tensor.dtype} {tensor.shape}".encode())
        found.update(tensor.first(_LOOK))
    return found.hexdigest()


def _split(
    same: Sequence[int], layers: Mapping[int, Mapping[str, str]], tensors: Mapping[str, Tensor]
) -> list[tuple[int, ...]]:
    """Layers that look alike, in groups that are equal."""
    groups: list[tuple[int, ...]] = []
    for number in same:
        for at, group in enumerate(groups):
            if _are_equal(layers[group[0]], layers[number], tensors):
                groups[at] = (*group, number)
                break
        else:
            groups.append((number,))
    return groups


def _are_equal(one: Mapping[str, str], other: Mapping[str, str], tensors: Mapping[str, Tensor]) -> bool:
    pairs = ((tensors[one[after]], tensors[other[after]]) for after in one)
    return all(a == b for x, y in pairs for a, b in zip_longest(x.chunks(), y.chunks()))
