"""Vectors, a row each, brought to length one. Pure: values in, values out."""

import numpy as np

from pinnace.router.types import FloatArray


def normalised(vectors: FloatArray) -> FloatArray:
    """Rows of length one; a row of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
