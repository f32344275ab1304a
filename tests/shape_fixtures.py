"""Small models on disk for the tests of shapes: written as transformers writes them, without loading it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LAYERS, WIDTH, HEADS, KV_HEADS, MLP, VOCABULARY = 4, 8, 4, 2, 12, 32
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": MLP,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "dtype": "float32",
    "layer_types": ["full_attention", "sliding", "full_attention", "sliding"],
}
HEAD_SIZE = WIDTH // HEADS
LAYER_SIZE = 2 * WIDTH * WIDTH + 2 * WIDTH * KV_HEADS * HEAD_SIZE + 3 * WIDTH * MLP + 2 * WIDTH


def weights(seed: int = 0, layers: int = LAYERS) -> dict[str, np.ndarray]:
    """Random weights of a Llama of that shape, embeddings tied."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    found = {"model.embed_tokens.weight": some(VOCABULARY, WIDTH), "model.norm.weight": some(WIDTH)}
    for layer in range(layers):
        before = f"model.layers.{layer}"
        found |= {
            f"{before}.self_attn.q_proj.weight": some(WIDTH, WIDTH),
            f"{before}.self_attn.k_proj.weight": some(KV_HEADS * HEAD_SIZE, WIDTH),
            f"{before}.self_attn.v_proj.weight": some(KV_HEADS * HEAD_SIZE, WIDTH),
            f"{before}.self_attn.o_proj.weight": some(WIDTH, WIDTH),
            f"{before}.mlp.gate_proj.weight": some(MLP, WIDTH),
            f"{before}.mlp.up_proj.weight": some(MLP, WIDTH),
            f"{before}.mlp.down_proj.weight": some(WIDTH, MLP),
            f"{before}.input_layernorm.weight": some(WIDTH),
            f"{before}.post_attention_layernorm.weight": some(WIDTH),
        }
    return found


def model_folder(folder: Path, tensors: Mapping[str, np.ndarray] | None = None, **config: Any) -> Path:
    """A model in `folder`; `config` is put over the usual one, and None takes a key away."""
    folder.mkdir(parents=True)
    whole = {key: value for key, value in (CONFIG | config).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(whole))
    save_file(dict(weights() if tensors is None else tensors), folder / "model.safetensors", {"format": "pt"})
    return folder


def adapter_folder(folder: Path, rank: int = 2) -> Path:
    """An adapter in peft's layout, on q and v of every layer."""
    folder.mkdir(parents=True)
    config = {
        "base_model_name_or_path": "base",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": ["v_proj", "q_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors: dict[str, np.ndarray] = {}
    for layer in range(LAYERS):
        for module, out in (("q_proj", WIDTH), ("v_proj", KV_HEADS * HEAD_SIZE)):
            before = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{before}.lora_A.weight"] = np.ones((rank, WIDTH), dtype=np.float32)
            tensors[f"{before}.lora_B.weight"] = np.ones((out, rank), dtype=np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
