"""Adapters of random weights, written as peft writes trained ones, and strong enough to change the text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

SMOLLM2 = {"hidden_size": 576, "intermediate_size": 1536, "layers": 30, "kv_size": 192}
TINY = {"hidden_size": 16, "intermediate_size": 32, "layers": 2, "kv_size": 8}
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def linear_shapes(shape: Mapping[str, int], targets: tuple[str, ...] = TARGETS) -> dict[str, tuple[int, int]]:
    """The linear layers of a Llama-like model, each (outputs, inputs)."""
    hidden, inner, kv = shape["hidden_size"], shape["intermediate_size"], shape["kv_size"]
    sizes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (kv, hidden),
        "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    return {
        f"model.layers.{layer}.{name}": size
        for layer in range(shape["layers"])
        for name, size in sizes.items()
        if name.rpartition(".")[2] in targets
    }


def adapter_tensors(
    shape: Mapping[str, int], seed: int, *, rank: int = 16, strength: float = 0.1
) -> dict[str, Any]:
    """Float32 weights by peft's names; what they add is about `strength` times their input, at random."""
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for name, (outputs, inputs) in linear_shapes(shape).items():
        down = random.standard_normal((rank, inputs)) / np.sqrt(inputs)
        up = random.standard_normal((outputs, rank)) * strength / np.sqrt(rank)
        found[f"base_model.model.{name}.lora_A.weight"] = down.astype(np.float32)
        found[f"base_model.model.{name}.lora_B.weight"] = up.astype(np.float32)
    return found


def adapter_config(rank: int = 16, **more: Any) -> dict[str, Any]:
    """What peft says of such an adapter."""
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": list(TARGETS),
        "bias": "none",
        "use_dora": False,
        **more,
    }


def write_adapter(folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Path:
    """Put an adapter into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), str(folder / "adapter_model.safetensors"))
    (folder / "adapter_config.json").write_text(json.dumps(adapter_config() if config is None else config))
    return folder


def random_adapter(folder: Path, seed: int, *, strength: float = 0.1, rank: int = 16) -> Path:
    """An adapter for SmolLM2-135M in `folder`."""
    tensors = adapter_tensors(SMOLLM2, seed, rank=rank, strength=strength)
    return write_adapter(folder, tensors, adapter_config(rank))


def tiny_base(folder: Path) -> Path:
    """The weights of a tiny model in `folder`: enough to check adapters against."""
    folder.mkdir()
    weights = {f"{name}.weight": np.zeros(size, np.float32) for name, size in linear_shapes(TINY).items()}
    save_file(weights, str(folder / "model.safetensors"))
    return folder


def tiny_adapter(folder: Path, seed: int) -> Path:
    """An adapter for the tiny model in `folder`."""
    return write_adapter(folder, adapter_tensors(TINY, seed, rank=4), adapter_config(4))
