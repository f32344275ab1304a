"""What the flat decoder takes out of vLLM's: weights, kernels, and where keys and values lie.

The one place that reads vLLM 0.32's insides, and refuses whatever differs from the Llama-like decoder in
bf16 without quantization or windows that the flat decoder was written for. What adapters add is computed by
what vLLM has for it.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from pinnace.models.steady_products import Linear, SteadyProduct, filled_up


class UnlikeError(Exception):
    """A model that the flat decoder does not know."""


class Layer(NamedTuple):
    """What one decoder layer needs: its norms' weights, its products `(out, x)`, its part of the KV cache."""

    before_attention: Any
    before_mlp: Any
    qkv: Callable[[Any, Any], None]
    keys: Any
    values: Any
    output: Callable[[Any, Any], None]
    gate_up: Callable[[Any, Any], None]
    down: Callable[[Any, Any], None]


class Constants:
    """What all layers and steps have in common."""

    def __init__(self, model: Any) -> None:
        torch: Any = importlib.import_module("torch")
        attention = model.layers[0].self_attn
        rotary = attention.rotary_emb
        self.name: str = attention.attn.layer_name
        self.isa: str = attention.attn.isa
        self.scale: float = attention.attn.impl.scale
        self.head_size: int = rotary.head_size
        self.is_neox: bool = rotary.is_neox_style
        self.last_norm = model.norm.weight.data
        self.cos_sin = rotary._match_cos_sin_cache_dtype(self.last_norm)
        self.rotate = torch.ops._C.rotary_embedding.default
        self.store = torch.ops._C.cpu_attn_reshape_and_cache.default
        self.attend = torch.ops._C.cpu_attention_with_kv_cache.default
        self.silu = torch.ops.aten.silu.out


def known_model(runner: Any) -> Any:
    """The `LlamaModel` of a runner that runs it in a way that is known here.

    :raises UnlikeError: when it does not.
    """
    config = runner.vllm_config
    llama: Any = importlib.import_module("vllm.model_executor.models.llama")
    model = runner.model
    demand(
        type(model) is llama.LlamaForCausalLM and type(model.model) is llama.LlamaModel, type(model).__name__
    )
    demand(config.parallel_config.world_size == 1, "more than one worker")
    demand(config.quant_config is None, "quantized weights")
    demand(config.speculative_config is None, "speculation")
    demand(config.model_config.enforce_eager, "compiled")
    demand(config.cache_config.cache_dtype == "auto", "another type of KV cache")
    demand(len(runner.kv_cache_config.kv_cache_groups) == 1, "more than one kind of KV cache")
    epsilons = {
        (layer.input_layernorm.variance_epsilon, layer.post_attention_layernorm.variance_epsilon)
        for layer in model.model.layers
    }
    demand(epsilons == {(model.model.norm.variance_epsilon,) * 2}, "norms of their own")
    return model.model


def layer_of(layer: Any) -> Layer:
    """The parts of one of vLLM's `LlamaDecoderLayer`s.

    :raises UnlikeError: when one of them is of another kind than those known here.
    """
    attention, mlp, inner = layer.self_attn, layer.mlp, layer.self_attn.attn
    impl, rotary = inner.impl, attention.rotary_emb
    kinds = (layer, attention, mlp, mlp.act_fn, impl, layer.input_layernorm, layer.post_attention_layernorm)
    names = [type(part).__name__ for part in kinds]
    expected = ["LlamaDecoderLayer", "LlamaAttention", "LlamaMLP", "SiluAndMul", "CPUAttentionBackendImpl"]
    demand(names == [*expected, "RMSNorm", "RMSNorm"], ", ".join(names))
    base: Any = importlib.import_module("vllm.model_executor.layers.rotary_embedding.base").RotaryEmbedding
    demand(rotary.forward_cpu.__func__ is base.forward_cpu, f"rotation by {rotary!r}")
    plain = (impl.alibi_slopes, impl.sinks, impl.kv_sharing_target_layer_name, inner.query_quant)
    demand(all(part is None for part in plain), "an attention with extras")
    demand((impl.sliding_window, impl.logits_soft_cap) == (-1, 0), "a sliding window, or capped logits")
    demand((inner._k_scale_float, inner._v_scale_float) == (1.0, 1.0), "a scaled KV cache")
    for norm in (layer.input_layernorm, layer.post_attention_layernorm):
        demand(norm.has_weight and norm.variance_size_override is None, "a norm with extras")
    blocks, heads, block_size, _ = inner.kv_cache.size()
    keys, values = inner.kv_cache.view(blocks, heads, 2 * block_size, -1).chunk(2, dim=2)
    before_attention, before_mlp = (
        layer.input_layernorm.weight.data,
        layer.post_attention_layernorm.weight.data,
    )
    to_qkv, output = product_of(attention.qkv_proj), product_of(attention.o_proj)
    to_gate_up, down = product_of(mlp.gate_up_proj), product_of(mlp.down_proj)
    return Layer(before_attention, before_mlp, to_qkv, keys, values, output, to_gate_up, down)


def product_of(linear: Any) -> Callable[[Any, Any], None]:
    """`(out, x)`: the kernel that vLLM has chosen for a linear layer, straight into `out`; and its adapters.

    :raises UnlikeError: when the layer adds a bias, or its kernel is another than those known here.
    """
    if hasattr(linear, "lora_a_stacked"):
        return _with_adapters(linear)
    demand(type(linear.quant_method).__name__ == "UnquantizedLinearMethod", "quantized weights")
    demand(linear.bias is None, "a bias")
    if isinstance(linear.cpu_linear, SteadyProduct):
        return _filled_up(_kernel_of(linear.cpu_linear.linear), linear.cpu_linear.fewest)
    return _kernel_of(linear.cpu_linear)


def _kernel_of(linear: Linear) -> Callable[[Any, Any], None]:
    torch: Any = importlib.import_module("torch")
    packed = inspect.getclosurevars(linear).nonlocals
    if "handler" in packed:
        onednn, weights = torch.ops._C.onednn_mm.default, packed["handler"].handler_tensor
        return lambda out, x: onednn(out, x, None, weights)
    demand("packed_weight" in packed, "another kernel for products")
    sgl, weights = torch.ops._C.weight_packed_linear.default, packed["packed_weight"]
    return lambda out, x: sgl(out, x, weights, None, True)


def _filled_up(kernel: Callable[[Any, Any], None], fewest: int) -> Callable[[Any, Any], None]:
    def product(out: Any, x: Any) -> None:
        if len(x) >= fewest:
            kernel(out, x)
            return
        wide = out.new_empty(fewest, out.shape[-1])
        kernel(wide, filled_up(x, fewest))
        out.copy_(wide[: len(x)])

    return product


def _with_adapters(linear: Any) -> Callable[[Any, Any], None]:
    plain = product_of(linear.base_layer)
    a, b, slices = linear.lora_a_stacked, linear.lora_b_stacked, linear.output_slices

    def adapted(out: Any, x: Any) -> None:
        plain(out, x)
        linear.punica_wrapper.add_lora_linear(out, x, a, b, 1.0, slices)

    return adapted


def demand(holds: bool, otherwise: str) -> None:
    """Refuse a model unless it `holds`.

    :raises UnlikeError: saying what it has `otherwise`.
    """
    if not holds:
        raise UnlikeError(otherwise)
