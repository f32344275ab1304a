"""Headers of safetensors files: the tensors of a folder, their types and shapes, and where their bytes lie.

Reads no weights, but for bytes that are asked for by their place. The format: eight bytes with the header's
length, least first, then the header as JSON, then the tensors' bytes one after the other.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

from pinnace.errors import WeightsError

MOST_HEADER_BYTES = 100_000_000
"""The format's own bound."""
CHUNK = 1 << 20
_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its bytes are those of `path` from `begin` to before `end`."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return self.end - self.begin

    def first(self, most: int) -> bytes:
        """Its first bytes, at most so many."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            return file.read(min(most, self.nbytes))

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, at most `CHUNK` at a time."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            left = self.nbytes
            while left:
                piece = file.read(min(CHUNK, left))
                if not piece:
                    raise WeightsError(f"{self.path.name}: {left} bytes short of what its header promises")
                left -= len(piece)
                yield piece


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the folder's safetensors files, by name.

    :raises WeightsError: when there is no such file, or one is not of that format.
    """
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= tensors_of(path)
    if not found:
        raise WeightsError(f"{folder}: expected *.safetensors with tensors, got none")
    return found


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, by name, in the order of their bytes.

    :raises WeightsError: when it is not a safetensors file.
    """
    header, start = read_header(path)
    size = path.stat().st_size
    found = {name: _tensor(path, name, said, start) for name, said in header.items() if name != _METADATA}
    for name, tensor in found.items():
        if not start <= tensor.begin <= tensor.end <= size:
            raise WeightsError(f"{path.name}: {name!r} lies outside of the file's {size} bytes")
    return dict(sorted(found.items(), key=lambda pair: pair[1].begin))


def read_header(path: Path) -> tuple[Mapping[str, Any], int]:
    """The header of a safetensors file, and where the bytes of its tensors begin.

    :raises WeightsError: when it is not a safetensors file.
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH.size)
        length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
        if not 0 < length <= min(MOST_HEADER_BYTES, path.stat().st_size):
            raise WeightsError(f"{path.name}: expected a safetensors header, got one of {length} bytes")
        raw = file.read(length)
    try:
        header: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise WeightsError(f"{path.name}: expected a safetensors header, got no JSON") from None
    if not isinstance(header, dict):
        raise WeightsError(f"{path.name}: expected a safetensors header, got {type(header).__name__}")
    return cast(Mapping[str, Any], header), _LENGTH.size + length


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """`header` as a safetensors file begins with it, padded to eight bytes."""
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % _LENGTH.size)
    return _LENGTH.pack(len(raw)) + raw


def _tensor(path: Path, name: str, said: Any, start: int) -> Tensor:
    try:
        begin, end = (int(at) for at in said["data_offsets"])
        return Tensor(
            path, str(said["dtype"]), tuple(int(n) for n in said["shape"]), start + begin, start + end
        )
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{path.name}: expected dtype, shape and data_offsets of {name!r}") from None
