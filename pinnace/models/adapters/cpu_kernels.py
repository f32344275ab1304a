"""What adapters add to a model's layers on CPU: dense and masked, in place of vLLM's own products.

vLLM's (`vllm.lora.ops.torch_ops`) gather a whole adapter for every token, and give a request without one,
whose index is -1, what the last slot adds. Here all adapters are multiplied at once and each row keeps its
own (`pack`): two products for a layer, of the rows that asked for an adapter, and none where nobody did.
Imported inside of vLLM only, by `plugin`; knows neither adapters' names nor their files.
"""

import importlib
from typing import Any

from pinnace.models.adapters.pack import Pack, Packs

_Stock: Any = importlib.import_module("vllm.lora.punica_wrapper.punica_cpu").PunicaWrapperCPU
MOST_MASKS = 64
"""Layouts of columns whose masks are kept during a step: layers of one kind have the same."""
FEWEST_SPARED = 8
"""From so many rows without an adapter on these are left out; with fewer, picking costs what it saves."""


class Rows:
    """Which adapter's slot each row of a step asks for.

    :param indices: (rows,), int64, -1 where a row asks for none.
    :param loaded: the slots that hold an adapter.
    """

    def __init__(self, indices: Any, loaded: tuple[int, ...]) -> None:
        found = sorted(set(indices.tolist()))
        self.active = tuple(slot for slot in found if slot >= 0)
        self.slots = self.active if len(self.active) == 1 else loaded
        asking = (indices >= 0).nonzero().squeeze(-1)
        self.indices = indices
        self._picked = asking if len(indices) - len(asking) >= FEWEST_SPARED else None
        self._slot_of = indices if self._picked is None else indices[asking]
        self._is_uniform = len(set(self._slot_of.tolist())) == 1
        self._masks: dict[tuple[int, ...], Any] = {}

    def of(self, x: Any) -> Any:
        """The rows of `x` (rows, columns) that are multiplied."""
        return x if self._picked is None else x.index_select(0, self._picked)

    def keep_own(self, hidden: Any, pack: Pack) -> None:
        """Set to nothing in `hidden`, (picked rows, columns), what is not of the row's own adapter."""
        if self._is_uniform:
            return
        mask = self._masks.get(pack.layout)
        if mask is None:
            mask = (self._slot_of.unsqueeze(-1) == pack.columns).to(hidden.dtype)
            if len(self._masks) < MOST_MASKS:
                self._masks[pack.layout] = mask
        hidden.mul_(mask)

    def add(self, y: Any, added: Any) -> None:
        """Add to `y` (rows, columns) what the picked rows were `added`."""
        if self._picked is None:
            y.add_(added)
        else:
            y.index_add_(0, self._picked, added.to(y.dtype))


class DensePunica(_Stock):
    """Stands in for vLLM's `PunicaWrapperCPU`, for one engine."""

    def __init__(self, max_num_batched_tokens: int, max_batches: int, device: Any, **options: Any) -> None:
        _Stock.__init__(self, max_num_batched_tokens, max_batches, device, **options)
        self._tokens = self._samples = Rows(self._token_lora_indices[:0], ())
        self._packs: dict[int, Packs] = {}

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], *sizes: int, **options: Any
    ) -> None:
        """Take over which adapter each token and each sampled row of the next steps asks for."""
        _Stock.update_metadata(self, mapping, lora_index_to_id, *sizes, **options)
        loaded = tuple(slot for slot, number in enumerate(lora_index_to_id) if number is not None)
        self._tokens = Rows(self.token_lora_indices, loaded)
        self._samples = Rows(self.sampler_indices, loaded)

    def add_lora_linear(
        self,
        y: Any,
        x: Any,
        lora_a_stacked: tuple[Any, ...],
        lora_b_stacked: tuple[Any, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **options: Any,
    ) -> None:
        """Add to `y` (rows, outputs) what each row's adapter makes of `x` (rows, inputs)."""
        if self._tokens.active:
            self._add(self._tokens, y, x, lora_a_stacked, lora_b_stacked, scale)

    def add_lora_logits(
        self, y: Any, x: Any, lora_a_stacked: Any, lora_b_stacked: Any, scale: float, **options: Any
    ) -> None:
        """Add to the logits `y` (rows, vocabulary) what each row's adapter of the head makes of `x`."""
        if self._samples.active:
            self._add(self._samples, y, x, (lora_a_stacked,), (lora_b_stacked,), scale)

    def add_lora_embedding(
        self, y: Any, x: Any, lora_b_stacked: Any, add_inputs: bool = True, **options: Any
    ) -> None:
        """Add to the embeddings `y` (rows, hidden) what each row's adapter makes of `x` (rows, rank)."""
        for slot in self._tokens.active:
            up = lora_b_stacked[slot].squeeze(0)
            if up.any():
                rows = self._tokens.indices == slot
                y[rows] += (x[rows].to(up.dtype) @ up.T).to(y.dtype)

    def _add(self, rows: Rows, y: Any, x: Any, a: tuple[Any, ...], b: tuple[Any, ...], scale: float) -> None:
        pack = self._packs_of(a, b).of(rows.slots)
        if pack is None:
            return
        hidden = pack.shrink(rows.of(x.view(-1, x.shape[-1])).to(b[0].dtype))
        rows.keep_own(hidden, pack)
        added = pack.expand(hidden if scale == 1.0 else hidden.mul_(scale))
        y = y.view(-1, y.shape[-1])
        common = min(y.shape[-1], added.shape[-1])  # the layer and its adapters may be padded differently
        rows.add(y[:, :common], added[:, :common])

    def _packs_of(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> Packs:
        """The packs of the layer that has `a` and `b`, the same tensors as long as it lives."""
        packs = self._packs.get(id(b[0]))
        if packs is None:
            packs = self._packs[id(b[0])] = Packs(a, b)
        return packs
