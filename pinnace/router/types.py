"""Shared aliases and seams of the router."""

from collections.abc import Sequence
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Embedder(Protocol):
    """From texts to vectors. `name` ties a fitted router state to the embedder that it was fitted with."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of shape (n, dim), rows L2-normalised."""
        ...


class CountingEmbedder(Embedder, Protocol):
    """One that knows how long a text may be, and how long each one is."""

    @property
    def max_tokens(self) -> int: ...

    @property
    def max_characters(self) -> int: ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, whole, as the model reads it."""
        ...


def can_count(embedder: Embedder) -> TypeGuard[CountingEmbedder]:
    """Whether `embedder` can count tokens; asks without loading it."""
    return hasattr(embedder, "count")
