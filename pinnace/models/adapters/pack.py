"""Adapters of one linear layer, stacked into two dense products: all their A, and all their B.

`hidden = x @ A.T` has one column for each rank of each adapter and slice of the layer's outputs; whoever
multiplies sets to nothing the columns of adapters that a row did not ask for; `hidden @ B.T` is then what the
row's own adapter adds. A rank that nothing was trained into takes no column. Knows torch and vLLM's choice of
a kernel for a product; knows no batch.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pinnace.models.steady_products import steady

NOBODY = -2
"""The slot of columns that only fill up a tile; no row has it."""
TILE = 32
"""Columns are made up to a multiple of this, as the fastest kernels ask."""


class Pack(NamedTuple):
    """Some adapters of one layer.

    :ivar shrink: x (rows, inputs) to hidden (rows, columns).
    :ivar columns: the slot whose adapter each column belongs to, (columns,), int64.
    :ivar layout: the same as a tuple, to tell equal layouts by.
    :ivar expand: hidden (rows, columns) to what is added, (rows, outputs).
    """

    shrink: Callable[[Any], Any]
    columns: Any
    layout: tuple[int, ...]
    expand: Callable[[Any], Any]


def pack_of(a_stacked: Sequence[Any], b_stacked: Sequence[Any], slots: Sequence[int]) -> Pack | None:
    """The adapters in `slots` of one layer; None where none of them has anything to add.

    :param a_stacked: for each slice of the layer's outputs, (slots, 1, rank, inputs).
    :param b_stacked: for each slice, (slots, 1, outputs, rank).
    """
    torch: Any = importlib.import_module("torch")
    outputs = [b.shape[2] for b in b_stacked]
    rows: list[Any] = []
    blocks: list[Any] = []
    layout: list[int] = []
    before = 0
    for a, b, width in zip(a_stacked, b_stacked, outputs, strict=True):
        for slot in slots:
            used = b[slot, 0].ne(0).any(0).nonzero().squeeze(-1)
            if len(used):
                rows.append(a[slot, 0, used])
                block = b.new_zeros(sum(outputs), len(used))
                block[before : before + width] = b[slot, 0][:, used]
                blocks.append(block)
                layout += [slot] * len(used)
                if (
                    len(used) % 2
                ):  # kernels add numbers in pairs: an adapter's are the same ones wherever it begins
                    rows.append(a.new_zeros(1, a.shape[-1]))
                    blocks.append(b.new_zeros(sum(outputs), 1))
                    layout.append(NOBODY)
        before += width
    if not layout:
        return None
    spare = -len(layout) % TILE
    down = torch.cat([*rows, rows[0].new_zeros(spare, rows[0].shape[1])])
    up = torch.cat([*blocks, blocks[0].new_zeros(sum(outputs), spare)], dim=1)
    columns = (*layout, *[NOBODY] * spare)
    return Pack(product(down), torch.tensor(columns), columns, product(up))


def product(weight: Any) -> Callable[[Any], Any]:
    """`x` (rows, inputs) to `x @ weight.T`, by the kernel that vLLM chooses for such a layer on this machine.

    :param weight: (outputs, inputs).
    """
    torch: Any = importlib.import_module("torch")
    layers: Any = importlib.import_module("vllm.model_executor.layers.utils")
    layer: Any = torch.nn.Module()
    layer.weight = torch.nn.Parameter(weight.contiguous(), requires_grad=False)
    layers.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
    kept = layer.weight
    linear = steady(layer.cpu_linear, kept, weight.shape[1], weight.dtype)
    return lambda x: linear(x, kept, None)


class Packs:
    """The packs of one layer, made when they are first asked for and anew once its adapters have changed."""

    def __init__(self, a_stacked: Sequence[Any], b_stacked: Sequence[Any]) -> None:
        self._a, self._b = tuple(a_stacked), tuple(b_stacked)
        self._made: dict[tuple[int, ...], Pack | None] = {}
        self._version = -1

    def of(self, slots: tuple[int, ...]) -> Pack | None:
        """The pack of the adapters in `slots`; None where they have nothing to add to this layer."""
        version = sum(tensor._version for tensor in self._b)
        if version != self._version:  # a slot was written: torch counts that
            self._made.clear()
            self._version = version
        if slots not in self._made:
            self._made[slots] = pack_of(self._a, self._b, slots)
        return self._made[slots]
