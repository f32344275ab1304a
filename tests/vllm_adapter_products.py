"""Compares what our products add to a layer with each row's own in float32; prints how many batches agree.

A process of its own, since it imports vLLM. Run: python tests/vllm_adapter_products.py
"""

import torch
from vllm.lora.layers import LoRAMapping

from pinnace.models.adapters.cpu_kernels import DensePunica

SLOTS, RANK, INPUTS, WIDTHS = 4, 7, 64, (96, 32)
NUMBERS: list[int | None] = [11, 12, None, 14]
"""Which adapter each slot holds; one is free."""
BATCHES = (
    [11],
    [0, 0, 0],
    [12] * 20,
    [0, 14, 0, 11],
    [0] * 30 + [12] + [0] * 30,
    [0] * 12 + [14, 11, 0, 12] + [0] * 40,
    [11, 12, 14] * 20 + [0] * 8,
)
"""The adapter of each row, 0 for none."""
NEAR = {"rtol": 2e-2, "atol": 0.5}
"""What bf16 leaves of sums of some hundred products."""


def stacked() -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """Random A and B of every slot and slice, as vLLM stacks them; those of the free slot are nothing."""
    a = tuple(torch.randn(SLOTS, 1, RANK, INPUTS) for _ in WIDTHS)
    b = tuple(torch.randn(SLOTS, 1, width, RANK) for width in WIDTHS)
    for each in (*a, *b):
        each[NUMBERS.index(None)] = 0
    return tuple(each.bfloat16() for each in a), tuple(each.bfloat16() for each in b)


def is_right(rows: list[int]) -> bool:
    """Whether each row gets what its own adapter adds, and one without keeps every bit."""
    a, b = stacked()
    x, y = torch.randn(len(rows), INPUTS).bfloat16(), torch.randn(len(rows), sum(WIDTHS)).bfloat16()
    punica = DensePunica(128, 128, "cpu")
    punica.update_metadata(LoRAMapping(tuple(rows), tuple(rows)), NUMBERS, SLOTS, 1000)
    found, expected = y.clone(), y.float()
    punica.add_lora_linear(found, x, a, b, 1.0, WIDTHS)
    for row, number in enumerate(rows):
        if number:
            slot = NUMBERS.index(number)
            own = [
                up[slot, 0].float() @ down[slot, 0].float() @ x[row].float()
                for down, up in zip(a, b, strict=True)
            ]
            expected[row] += torch.cat(own)
    without = [row for row, number in enumerate(rows) if not number]
    return torch.allclose(found.float(), expected, **NEAR) and torch.equal(found[without], y[without])


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"{sum(map(is_right, BATCHES))} of {len(BATCHES)} are right")
