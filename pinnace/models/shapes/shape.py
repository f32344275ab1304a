"""The shape of a model: layers, widths, heads, and where its parameters are. From config.json and headers.

Knows decoders that keep one embedding of tokens and a stack of layers under Hugging Face's names. Of a
mixture of experts, which runs a part of its parameters for each token, it states no FLOPs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pinnace.errors import WeightsError
from pinnace.models.shapes.tensor_file import Tensor

LAYER = re.compile(r"(?P<before>.*?\b(?:layers|h|blocks)\.)(?P<layer>[0-9]+)(?P<after>\..+)")
"""The name of a tensor that belongs to a layer."""
MOST_CONFIG_BYTES = 4_000_000

_EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
_HEAD = re.compile(r"(?:^|\.)lm_head\.weight$")
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
_NAMED = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_ALSO = {
    "num_hidden_layers": ("n_layer", "n_layers"),
    "hidden_size": ("n_embd", "d_model"),
    "num_attention_heads": ("n_head", "n_heads"),
    "max_position_embeddings": ("n_positions", "n_ctx"),
}
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class Shape:
    """One model. `window` is the context that it was trained on, in tokens.

    Of its parameters, `total` is all, tied embeddings once; `embedding` the table of tokens, and the head
    where that is a table of its own; `table` the one that makes the logits. `dtype_bytes` is what a number of
    the KV cache takes, `weight_bytes` what all files' tensors take.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    window: int | None
    is_tied: bool
    total: int
    embedding: int
    table: int
    dtype_bytes: int
    weight_bytes: int
    is_mixture: bool = False

    @property
    def body(self) -> int:
        """Parameters outside of the embedding."""
        return self.total - self.embedding

    @property
    def width_per_layer(self) -> float:
        """Width over depth: the less, the deeper and thinner."""
        return self.width / self.layers

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of the KV cache that one token takes: a key and a value of each KV head in each layer."""
        return 2 * self.layers * self.kv_heads * self.head_size * self.dtype_bytes

    def flops_per_token(self, context: int) -> int | None:
        """FLOPs of one token that is read or written with `context` tokens before it.

        Two for every parameter of the body and of the table that makes the logits, and four for every layer,
        head, number of a head and token of the context (Chowdhery et al., arXiv 2204.02311, appendix B,
        forward pass). None for a mixture of experts.
        """
        if self.is_mixture:
            return None
        return 2 * (self.body + self.table) + 4 * self.layers * self.heads * self.head_size * context


FLOPS_FORMULA = "2 x (body + table of logits) + 4 x layers x heads x head size x context"


def read_config(folder: Path) -> Mapping[str, Any]:
    """The folder's config.json.

    :raises WeightsError: when it cannot be read, or is no JSON object.
    """
    return read_object(folder / "config.json")


def read_object(path: Path) -> Mapping[str, Any]:
    """A file of `MOST_CONFIG_BYTES` at most with a JSON object.

    :raises WeightsError: when it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            raise WeightsError(f"{path}: expected at most {MOST_CONFIG_BYTES} bytes")
        found: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise WeightsError(f"{path}: expected JSON") from None
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return cast(Mapping[str, Any], found)


def shape_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Shape:
    """The shape that a model's configuration and the headers of its weights tell.

    :raises WeightsError: when the configuration lacks a size, or the weights have no embedding of tokens.
    """
    text = _text_part(config)
    width, heads = _size(text, "hidden_size"), _size(text, "num_attention_heads")
    table = _only(tensors, _EMBEDDING)
    head = _only(tensors, _HEAD)
    if table is None:
        raise WeightsError("expected the weights to have an embedding of tokens, got none")
    total = sum(tensor.size for tensor in tensors.values())
    if head is not None and (config.get("tie_word_embeddings") or text.get("tie_word_embeddings")):
        total, head = total - head.size, None  # stored twice, and loaded once
    return Shape(
        layers=_size(text, "num_hidden_layers"),
        width=width,
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        head_size=int(text.get("head_dim") or width // heads),
        vocabulary=table.shape[0],
        window=_optional(text, "max_position_embeddings"),
        is_tied=head is None,
        total=total,
        embedding=table.size + (0 if head is None else head.size),
        table=(head or table).size,
        dtype_bytes=_dtype_bytes(config, text, table),
        weight_bytes=sum(tensor.nbytes for tensor in tensors.values()),
        is_mixture=any(int(text.get(key) or 0) > 1 for key in _EXPERTS),
    )


def layer_tensors(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, str]]:
    """Of each layer, its tensors' full names by what follows the layer's number."""
    found: dict[int, dict[str, str]] = {}
    for name in tensors:
        if match := LAYER.fullmatch(name):
            found.setdefault(int(match["layer"]), {})[match["after"]] = name
    return found


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a model that reads more than text, the part that is its language model."""
    inner: Any = config.get("text_config")
    return cast(Mapping[str, Any], inner) if isinstance(inner, dict) else config


def _size(config: Mapping[str, Any], key: str) -> int:
    found = _optional(config, key)
    if found is None or found < 1:
        raise WeightsError(f"config.json: expected {key} to be a number from 1, got {config.get(key)!r}")
    return found


def _optional(config: Mapping[str, Any], key: str) -> int | None:
    for name in (key, *_ALSO.get(key, ())):
        value: Any = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _only(tensors: Mapping[str, Tensor], pattern: re.Pattern[str]) -> Tensor | None:
    return next((tensor for name, tensor in tensors.items() if pattern.search(name)), None)


def _dtype_bytes(config: Mapping[str, Any], text: Mapping[str, Any], table: Tensor) -> int:
    """What the configuration computes in, else what the embedding is stored in."""
    for part in (text, config):
        for key in ("dtype", "torch_dtype"):
            if (named := _NAMED.get(str(part.get(key)))) is not None:
                return named
    return _BYTES.get(table.dtype, 2)
