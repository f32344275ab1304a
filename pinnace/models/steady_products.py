"""Products of linear layers on CPU that give a row the same bits whatever is beside it.

oneDNN sums a row of 1,536 numbers in another order where there are four rows or fewer: an answer given alone
then parts from the same answer in a batch, wherever two tokens are about as likely (docs/log.md). So few rows
are made up with empty ones. How many that takes is tried out, since it is another matter on another machine.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

MOST_ROWS = 16
"""The largest number of rows that is tried, and made up to."""
TRIED = 256
"""Random rows multiplied for it: of those that are summed otherwise, one in fifteen has other bits."""
_FEWEST: dict[tuple[int, int, Any], int] = {}

Linear = Callable[[Any, Any, Any], Any]
"""A kernel as vLLM has it for a layer, `cpu_linear`: x (rows, inputs), weight, bias to (rows, outputs)."""


class SteadyProduct:
    """A kernel for `fewest` rows and more; fewer are made up.

    :param linear: the kernel.
    """

    def __init__(self, linear: Linear, fewest: int) -> None:
        self.linear = linear
        self.fewest = fewest

    def __call__(self, x: Any, weight: Any, bias: Any) -> Any:
        """The product of `x`, (rows, inputs)."""
        rows = len(x)
        if x.dim() != 2 or rows >= self.fewest:
            return self.linear(x, weight, bias)
        return self.linear(made_up(x, self.fewest), weight, bias)[:rows]


def made_up(x: Any, fewest: int) -> Any:
    """`x` (rows, columns) and empty rows after it, `fewest` in all."""
    wide = x.new_zeros(fewest, x.shape[-1])
    wide[: len(x)] = x
    return wide


def steady(linear: Linear, weight: Any, shape: tuple[int, int], dtype: Any) -> Linear:
    """`linear` itself where it gives every row the same bits among few rows as among many, else made up.

    :param weight: what it is called with, empty where the kernel keeps its own.
    :param shape: (outputs, inputs).
    """
    key = (*shape, dtype)
    if key not in _FEWEST:
        _FEWEST[key] = fewest_rows(linear, weight, shape[1], dtype)
    fewest = _FEWEST[key]
    return linear if fewest == 1 else SteadyProduct(linear, fewest)


def fewest_rows(linear: Linear, weight: Any, inputs: int, dtype: Any) -> int:
    """From how many rows on each has the bits that it has among many; 1 where `MOST_ROWS` are too few."""
    torch: Any = importlib.import_module("torch")
    x = torch.randn(TRIED, inputs, generator=torch.Generator().manual_seed(0)).to(dtype)
    among = linear(x, weight, None)
    for rows in range(MOST_ROWS, 0, -1):
        lots = [linear(x[at : at + rows], weight, None) for at in range(0, TRIED - rows + 1, rows)]
        found = torch.cat(lots)
        if not torch.equal(found, among[: len(found)]):
            if rows == MOST_ROWS:
                log.info("products of %d inputs hang on the number of rows", inputs)
                return 1
            return rows + 1
    return 1


def steady_layers(model: Any) -> None:
    """Make the products of all linear layers of a loaded model steady."""
    for layer in model.modules():
        linear = getattr(layer, "cpu_linear", None)
        if linear is not None and hasattr(layer, "input_size_per_partition"):
            shape = (layer.output_size_per_partition, layer.input_size_per_partition)
            layer.cpu_linear = steady(linear, layer.weight, shape, layer.params_dtype)
