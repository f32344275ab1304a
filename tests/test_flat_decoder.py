"""The flat decoder: the bits of vLLM's own, or none of its answers; and only models that it knows."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.config import VllmMember, load_config
from pinnace.models.flat_decoder import FlatDecoder, Scratch
from pinnace.models.flat_layers import UnlikeError, product_of
from pinnace.models.weights import default_cache, resolve_weights

torch: Any = importlib.import_module("torch")
SIZE, EPSILON = 48, 1e-5


def model(dtype: Any) -> Any:
    """As much of a `LlamaModel` as the tensors of a step are made by."""
    attention = SimpleNamespace(q_size=16, kv_size=8, head_dim=8)
    return SimpleNamespace(
        config=SimpleNamespace(hidden_size=SIZE, intermediate_size=64),
        layers=[SimpleNamespace(self_attn=attention)],
        norm=SimpleNamespace(weight=torch.ones(SIZE, dtype=dtype), variance_epsilon=EPSILON),
    )


@given(tokens=st.integers(1, 9), seed=st.integers(0, 500), scale=st.sampled_from([0.01, 1.0, 50.0]))
def test_its_norm_has_the_bits_of_the_native_one(tokens: int, seed: int, scale: float) -> None:
    seeded = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(tokens, SIZE, generator=seeded)
    weight = torch.randn(SIZE, generator=seeded).bfloat16()
    variance = x.pow(2).mean(dim=-1, keepdim=True)  # as `vllm.ir.ops.layernorm.rms_norm`
    native = (x * torch.rsqrt(variance + EPSILON)).to(torch.bfloat16) * weight
    scratch = Scratch(model(torch.bfloat16), tokens)
    scratch.wide.copy_(x)
    scratch.norm(weight)
    assert torch.equal(scratch.normed, native)


def test_parts_of_a_step_lie_within_its_tensors() -> None:
    scratch = Scratch(model(torch.bfloat16), 3)
    scratch.qkv.copy_(torch.arange(32, dtype=torch.bfloat16).expand(3, 32))
    assert scratch.q_heads.shape == (3, 2, 8)
    assert scratch.k_heads[1, 0].tolist() == list(range(16, 24))
    assert scratch.v_heads[2, 0].tolist() == list(range(24, 32))
    scratch.gate_up.zero_()
    scratch.up.fill_(1)
    assert scratch.gate_up.sum() == 3 * 64


@pytest.mark.parametrize(
    ("method", "bias", "kernel", "reason"),
    [
        (type("GPTQLinearMethod", (), {}), None, lambda x: x, "quantized weights"),
        (type("UnquantizedLinearMethod", (), {}), torch.zeros(3), lambda x: x, "a bias"),
        (type("UnquantizedLinearMethod", (), {}), None, lambda x: x, "another kernel for products"),
    ],
)
def test_a_product_of_another_kind_is_refused(method: Any, bias: Any, kernel: Any, reason: str) -> None:
    with pytest.raises(UnlikeError, match=reason):
        product_of(SimpleNamespace(quant_method=method(), bias=bias, cpu_linear=kernel))


def test_a_runner_with_other_insides_is_refused() -> None:
    with pytest.raises(UnlikeError, match="other insides"):
        FlatDecoder(SimpleNamespace())


@pytest.mark.real
def test_answers_are_vllms_and_a_wrong_decoder_gives_none() -> None:
    root = Path(__file__).parents[1]
    (member,) = [found for found in load_config(root / "router.yaml").fleet if isinstance(found, VllmMember)]
    folder = resolve_weights(member.weights, cache=default_cache()).folder
    command = [sys.executable, "-W", "ignore", str(root / "tests" / "vllm_flat.py"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    told = [line for line in ran.stdout.splitlines() if line.startswith(("flat:", "wrong:"))]
    assert told == ["flat: True, True, sizes {1, 3} True", "wrong: True, False, []"], ran.stdout + ran.stderr
