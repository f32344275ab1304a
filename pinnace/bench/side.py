"""The seam of the bench: one way of having prompts answered, measured like every other."""

from typing import Protocol

from pinnace.bench.load import Load, Measured


class Side(Protocol):
    """One side of a comparison, ready to answer. `name` is what its runs are filed under."""

    @property
    def name(self) -> str: ...

    async def run(self, load: Load) -> Measured: ...
