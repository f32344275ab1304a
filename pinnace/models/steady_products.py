"""Products of linear layers on CPU that give a row the same bits whatever is beside it.

oneDNN sums a lone row of 1,536 numbers in another order than one among others: an answer given alone then
parts from the same answer in a batch, wherever two tokens are about as likely (docs/log.md). Too few rows are
filled up with empty ones. How many it takes is tried out, since it is another matter on another machine. The
head is left as it is: its rows are as long as the model is wide, and the default model's 576 are steady.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, cast

log = logging.getLogger(__name__)

MOST_ROWS = 16
"""The largest number of rows that is tried, and filled up to."""
TRIED = 256
"""Random rows that are multiplied for it: of those summed otherwise, every tenth of 576 outputs shows it."""
_FEWEST: dict[tuple[int, Any], int] = {}
"""By inputs and type: nothing else was seen to change how a kernel sums, and few outputs show too little."""

Linear = Callable[[Any, Any, Any], Any]
"""A kernel as vLLM has it for a layer, `cpu_linear`: x (rows, inputs), weight, bias to (rows, outputs)."""


class SteadyProduct:
    """A kernel for `fewest` rows and more; fewer are filled up.

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
        return self.linear(filled_up(x, self.fewest), weight, bias)[:rows]


def filled_up(x: Any, fewest: int) -> Any:
    """`x` (rows, columns) and empty rows after it, `fewest` in all."""
    wide = x.new_zeros(fewest, x.shape[-1])
    wide[: len(x)] = x
    return wide


def steady_layers(model: Any) -> None:
    """Make the products of a loaded model's linear layers steady."""
    layers = [layer for layer in model.modules() if _has_product(layer)]
    one_of_each = {
        (layer.output_size_per_partition, layer.input_size_per_partition): layer for layer in layers
    }
    for (_, inputs), layer in one_of_each.items():
        if not isinstance(layer.cpu_linear, SteadyProduct):
            key = (inputs, layer.params_dtype)
            _FEWEST[key] = max(fewest_rows(layer.cpu_linear, layer.weight, *key), _FEWEST.get(key, 1))
    for layer in layers:
        inputs, dtype = layer.input_size_per_partition, layer.params_dtype
        layer.cpu_linear = steady(layer.cpu_linear, layer.weight, inputs, dtype)


def _has_product(layer: Any) -> bool:
    own = cast("dict[str, Any]", vars(layer))  # a layer with adapters forwards what it has not to its base
    return "cpu_linear" in own and "input_size_per_partition" in own


def steady(linear: Linear, weight: Any, inputs: int, dtype: Any) -> Linear:
    """`linear` itself where it gives every row the same bits among few rows as among many, else filled up.

    :param weight: what it is called with, empty where the kernel keeps its own.
    """
    if isinstance(linear, SteadyProduct):
        return linear
    if (inputs, dtype) not in _FEWEST:
        _FEWEST[inputs, dtype] = fewest_rows(linear, weight, inputs, dtype)
    fewest = _FEWEST[inputs, dtype]
    return linear if fewest == 1 else SteadyProduct(linear, fewest)


def fewest_rows(linear: Linear, weight: Any, inputs: int, dtype: Any) -> int:
    """The fewest rows, of up to `MOST_ROWS`, from which on each has the bits that it has among `TRIED`.

    1 where even `MOST_ROWS` are too few: such a kernel is left as it is.
    """
    torch: Any = importlib.import_module("torch")
    x = torch.randn(TRIED, inputs, generator=torch.Generator().manual_seed(0)).to(dtype)
    among = linear(x, weight, None)
    for rows in range(MOST_ROWS, 0, -1):
        lots = [linear(x[at : at + rows], weight, None) for at in range(0, TRIED - rows + 1, rows)]
        found = torch.cat(lots)
        if not torch.equal(found, among[: len(found)]):
            if rows == MOST_ROWS:
                log.warning(
                    "products of %d inputs are not steady: answers may hang on what is beside them", inputs
                )
                return 1
            return rows + 1
    return 1
