"""Our products for adapters against vLLM's own, which are right for every request that has an adapter.

In a process of its own, since it imports vLLM. Run: pytest -W ignore tests/vllm_lora.py
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from pinnace.models.adapters import pack as lora_pack
from pinnace.models.adapters import plugin as lora_plugin
from pinnace.models.adapters.cpu_kernels import DensePunica

SLOTS, RANK, INPUTS = 4, 16, 96
SLICES = (96, 32, 32)
NUMBERS = [11, 12, None, 14]
VOCABULARY = 64


def layer(dtype: Any, slices: tuple[int, ...] = SLICES, rank: int = RANK) -> tuple[Any, Any]:
    torch.manual_seed(3)
    a = tuple(torch.randn(SLOTS, 1, rank, INPUTS).to(dtype) * 0.1 for _ in slices)
    b = tuple(torch.randn(SLOTS, 1, width, rank).to(dtype) * 0.1 for width in slices)
    return a, b


def wrapped(kind: Any, tokens: list[int], samples: list[int] | None = None) -> Any:
    made = kind(256, 64, "cpu")
    mapping = LoRAMapping(tuple(tokens), tuple(tokens if samples is None else samples), is_prefill=True)
    made.update_metadata(mapping, NUMBERS, SLOTS + 1, VOCABULARY)
    return made


def added(kind: Any, tokens: list[int], x: Any, a: Any, b: Any, slices: tuple[int, ...] = SLICES) -> Any:
    y = torch.zeros(len(tokens), sum(slices), dtype=x.dtype)
    wrapped(kind, tokens).add_lora_linear(y, x, a, b, 1.0, slices)
    return y


def close(ours: Any, theirs: Any) -> bool:
    """Equal within the rounding of the type, of numbers of about 1."""
    return torch.allclose(ours.float(), theirs.float(), atol=0.03 if ours.dtype == torch.bfloat16 else 1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize(
    "tokens",
    [[11], [14] * 5, [11, 12, 14, 11, 14], [12] * 40 + [11] * 70, [11, 14] * 20],
    ids=["one", "one adapter", "mixed", "prefill", "alternating"],
)
def test_rows_with_adapters_get_what_vllm_adds(dtype: Any, tokens: list[int]) -> None:
    a, b = layer(dtype)
    x = torch.randn(len(tokens), INPUTS).to(dtype)
    ours, theirs = added(DensePunica, tokens, x, a, b), added(PunicaWrapperCPU, tokens, x, a, b)
    assert theirs.abs().max() > 0.1
    assert close(ours, theirs)


@pytest.mark.parametrize("tokens", [[0], [0, 11], [11, 0, 0, 14, 0, 12], [0] * 30 + [14] * 30], ids=len)
def test_a_row_without_an_adapter_gets_exactly_nothing(tokens: list[int]) -> None:
    a, b = layer(torch.bfloat16)
    x = torch.randn(len(tokens), INPUTS).to(torch.bfloat16)
    ours = added(DensePunica, tokens, x, a, b)
    plain = torch.tensor(tokens) == 0
    assert torch.count_nonzero(ours[plain]) == 0
    assert all(row.any() for row in ours[~plain])


def test_vllms_own_gives_such_a_row_the_last_slot_in_a_mixed_batch() -> None:
    """Why ours exist; once vLLM has mended it, this says so."""
    a, b = layer(torch.bfloat16)
    x = torch.randn(2, INPUTS).to(torch.bfloat16)
    assert added(PunicaWrapperCPU, [0, 11], x, a, b)[0].any()


def test_a_batch_without_adapters_asks_for_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora_pack, "product", None)
    a, b = layer(torch.bfloat16)
    assert not added(DensePunica, [0, 0], torch.ones(2, INPUTS, dtype=torch.bfloat16), a, b).any()


def test_a_row_is_what_it_is_alone_whoever_else_is_in_the_batch() -> None:
    a, b = layer(torch.float32)
    x = torch.randn(6, INPUTS)
    tokens = [11, 0, 12, 14, 12, 0]
    mixed = added(DensePunica, tokens, x, a, b)
    for row, token in enumerate(tokens):
        alone = added(DensePunica, [token], x[row : row + 1], a, b)
        assert torch.allclose(mixed[row], alone[0], atol=1e-5)


def test_the_stacks_are_made_anew_once_a_slot_was_written() -> None:
    a, b = layer(torch.bfloat16)
    x = torch.randn(2, INPUTS).to(torch.bfloat16)
    ours, theirs = (wrapped(kind, [11, 12]) for kind in (DensePunica, PunicaWrapperCPU))

    def both() -> tuple[Any, Any]:
        found = torch.zeros(2, 2, sum(SLICES), dtype=x.dtype)
        for y, kind in zip(found, (ours, theirs), strict=True):
            kind.add_lora_linear(y, x, a, b, 1.0, SLICES)
        return found[0], found[1]

    before, _ = both()
    with torch.inference_mode():
        b[0][1] = 0  # as vLLM's layers clear a slot, and write it
        b[1][1, 0, :, :8].copy_(torch.ones(SLICES[1], 8))
    after, reference = both()
    assert close(after, reference)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_ranks_that_were_not_trained_take_no_columns() -> None:
    a, b = layer(torch.bfloat16, slices=(64,), rank=64)
    for up in b:
        up[..., 8:] = 0
    pack = lora_pack.pack_of(a, b, (0, 1))
    assert pack is not None
    assert pack.layout == (*[0] * 8, *[1] * 8, *[lora_pack.NOBODY] * 16)


def test_an_adapter_that_leaves_a_layer_alone_has_no_pack() -> None:
    a, b = layer(torch.bfloat16)
    assert lora_pack.pack_of(a, [torch.zeros_like(up) for up in b], (0, 1, 3)) is None


def test_logits_take_the_adapter_of_each_sampled_row() -> None:
    a, b = layer(torch.bfloat16, slices=(VOCABULARY,))
    x = torch.randn(3, INPUTS).to(torch.bfloat16)
    tokens, samples = [11, 11, 14, 0, 0], [11, 14, 0]
    ours, theirs = (torch.zeros(3, VOCABULARY, dtype=torch.bfloat16) for _ in range(2))
    wrapped(DensePunica, tokens, samples).add_lora_logits(ours, x, a[0], b[0], 1.0)
    wrapped(PunicaWrapperCPU, tokens, samples).add_lora_logits(theirs, x, a[0], b[0], 1.0)
    assert close(ours[:2], theirs[:2])
    assert not ours[2].any()


def test_embeddings_take_the_adapter_of_each_token() -> None:
    _, (b,) = layer(torch.bfloat16, slices=(48,))
    x = torch.randn(3, RANK).to(torch.bfloat16)
    ours, theirs = (torch.zeros(3, 48, dtype=torch.bfloat16) for _ in range(2))
    wrapped(DensePunica, [11, 0, 14]).add_lora_embedding(ours, x, b)
    wrapped(PunicaWrapperCPU, [11, 12, 14]).add_lora_embedding(theirs, x, b)
    assert close(ours[[0, 2]], theirs[[0, 2]])
    assert not ours[1].any()


def test_a_scale_is_applied_once() -> None:
    a, b = layer(torch.float32)
    x = torch.randn(2, INPUTS)
    single = added(DensePunica, [11, 12], x, a, b)
    scaled = torch.zeros_like(single)
    wrapped(DensePunica, [11, 12]).add_lora_linear(scaled, x, a, b, 0.5, SLICES)
    assert torch.allclose(scaled, single * 0.5, atol=1e-5)


def test_the_plugin_names_ours_on_cpu_and_leaves_other_platforms_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vllm import platforms
    from vllm.lora.punica_wrapper.punica_selector import get_punica_wrapper
    from vllm.platforms.interface import Platform, PlatformEnum

    class Gpu(Platform):
        _enum = PlatformEnum.CUDA

        @classmethod
        def get_punica_wrapper(cls) -> str:
            return "theirs"

    monkeypatch.setattr(platforms, "current_platform", Gpu())
    lora_plugin.register()
    assert Gpu.get_punica_wrapper() == "theirs"
    monkeypatch.undo()
    lora_plugin.register()
    assert isinstance(get_punica_wrapper(16, 4, "cpu"), DensePunica)


def test_a_loaded_model_can_be_given_ours() -> None:
    class Module:
        def set_mapping(self, wrapper: Any) -> None:
            self.punica_wrapper = wrapper

    theirs = PunicaWrapperCPU(256, 32, "cpu")
    modules = {"a": Module(), "b": Module()}
    for module in modules.values():
        module.set_mapping(theirs)
    manager = SimpleNamespace(punica_wrapper_mapping={"": theirs}, modules=modules, _last_mapping=0)
    runner = SimpleNamespace(lora_manager=SimpleNamespace(_adapter_manager=manager))
    lora_plugin.give_products(runner)
    ours = manager.punica_wrapper_mapping[""]
    assert isinstance(ours, DensePunica)
    assert all(module.punica_wrapper is ours for module in modules.values())
    assert manager._last_mapping is None
    lora_plugin.give_products(runner)
    assert manager.punica_wrapper_mapping[""] is ours
    lora_plugin.give_products(runner, is_dense=False)
    assert type(modules["a"].punica_wrapper) is PunicaWrapperCPU
