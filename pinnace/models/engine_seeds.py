"""Seeded requests in a vLLM engine on CPU: what keeps a prompt read in pieces from ending the engine.

For a prompt that takes several steps vLLM draws tokens that it throws away, and then winds the request's
generator back by setting its offset. A generator on CPU has none and raises, which ends the engine (vLLM
0.32): any client could. Here it is wound back to its seed, so that a seed gives the same text
however its prompt was cut.
"""

from typing import Any


class Rewindable(dict[int, Any]):
    """The generators of a batch, by row; `get`, by which vLLM finds those to wind back, gives `Reseeded`."""

    def get(self, key: int, default: Any = None) -> Any:
        """The generator of a row, as one that can be wound back."""
        return Reseeded(self[key]) if key in self else default


class Reseeded:
    """A generator on CPU that is wound back to where its request began."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def get_offset(self) -> int:
        """Of no meaning on CPU."""
        return 0

    def set_offset(self, offset: int) -> None:
        """Begin again."""
        self._generator.manual_seed(self._generator.initial_seed())
