"""Shared aliases and seams of the router."""

from collections.abc import Sequence
from typing import Protocol

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
