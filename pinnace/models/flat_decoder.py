"""A Llama-like decoder on CPU as one flat list of kernel calls, for small batches; every bit as vLLM's own.

At batch 1 vLLM's eager decoder spends half as long again on dispatch as on weights (docs/log.md): modules in
modules, a look-up of the forward context in every layer, and a dozen new tensors. Here the same kernels are
called in the same order, on tensors made once for each number of tokens. That the bits are the same is
not taken on trust: the first step of each number of tokens runs vLLM's decoder as well, and from the
first difference on vLLM's alone. Knows nothing of requests, nor how vLLM is made (`flat_layers`).
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, cast

from pinnace.models.flat_layers import Constants, UnlikeError, known_model, layer_of

log = logging.getLogger(__name__)

MOST_TOKENS = 64
"""Tokens of a step up to which it is taken flat; beyond, dispatch is small beside the arithmetic."""


class FlatDecoder:
    """Stands in for `forward` of vLLM's `LlamaModel`.

    :param runner: vLLM's model runner, its KV cache allocated.
    :raises UnlikeError: when the model, or how it is run, is another than this was written for.
    """

    def __init__(self, runner: Any) -> None:
        try:
            self._model = known_model(runner)
            self._layers = [layer_of(layer) for layer in self._model.layers]
            self._constants = Constants(self._model)
        except (AttributeError, KeyError, IndexError, ImportError, TypeError) as error:
            raise UnlikeError(f"this vLLM has other insides: {error}") from error
        self._own: Callable[..., Any] = self._model.forward
        self._context: Callable[[], Any] = importlib.import_module("vllm.forward_context").get_forward_context
        self._scratch: dict[int, Scratch] = {}
        self.differs = False

    @property
    def believed(self) -> set[int]:
        """The numbers of tokens whose steps are taken flat, each found equal once."""
        return set() if self.differs else set(self._scratch)

    def __call__(
        self, input_ids: Any, positions: Any, intermediate_tensors: Any = None, inputs_embeds: Any = None
    ) -> Any:
        """The hidden states of one step, (tokens, hidden); they are overwritten by the next step."""
        context = self._context()
        found: Any = context.attn_metadata
        if self.differs or inputs_embeds is not None or not isinstance(found, dict):
            return self._own(input_ids, positions, intermediate_tensors, inputs_embeds)
        name, tokens = self._constants.name, len(input_ids)
        metadata = cast("dict[str, Any]", found)[name]
        slots = context.slot_mapping[name]
        if tokens > MOST_TOKENS or metadata.num_actual_tokens != tokens:
            return self._own(input_ids, positions, intermediate_tensors, inputs_embeds)
        scratch = self._scratch.get(tokens)
        if scratch is None:
            return self._first(input_ids, positions, metadata, slots)
        return self._step(scratch, input_ids, positions, metadata, slots)

    def _first(self, input_ids: Any, positions: Any, metadata: Any, slots: Any) -> Any:
        """The first step of as many tokens: vLLM's answer, and whether ours is the same.

        Both write the same keys and values to the same slots, vLLM's last.
        """
        tokens = len(input_ids)
        scratch = Scratch(self._model, tokens)
        try:
            ours = self._step(scratch, input_ids, positions, metadata, slots)
        except Exception as error:  # whatever other insides raise: vLLM's own decoder serves
            ours = None
            log.warning("the flat decoder failed, and is not used: %r", error)
        theirs = self._own(input_ids, positions, None, None)
        if ours is not None and importlib.import_module("torch").equal(ours, theirs):
            self._scratch[tokens] = scratch
        else:
            self.differs = True
            log.warning("the flat decoder differs from vLLM's at %d tokens, and is not used", tokens)
        return theirs

    def _step(self, scratch: "Scratch", input_ids: Any, positions: Any, metadata: Any, slots: Any) -> Any:
        c, s = self._constants, scratch
        hidden, normed, wide, norm = s.hidden, s.normed, s.wide, s.norm
        qkv, q, k, attended, gate_up, gate, up, acted = (
            *(s.qkv, s.q, s.k, s.attended),
            *(s.gate_up, s.gate, s.up, s.acted),
        )
        q_heads, k_heads, v_heads, heads = s.q_heads, s.k_heads, s.v_heads, s.attended_heads
        rotate, store, attend, silu = c.rotate, c.store, c.attend, c.silu
        where = (metadata.query_start_loc, metadata.seq_lens, c.scale, metadata.causal, None, -1)
        where += (metadata.block_table, 0.0, metadata.scheduler_metadata, None, metadata.dynamic_causal)
        where += (1.0, 1.0, "auto")
        residual = self._model.embed_tokens(input_ids)
        wide.copy_(residual)
        for before_attention, before_mlp, to_qkv, keys, values, output, to_gate_up, down in self._layers:
            norm(before_attention)
            to_qkv(qkv, normed)
            rotate(positions, q, k, c.head_size, c.cos_sin, c.is_neox)
            store(k_heads, v_heads, keys, values, slots, c.isa, 1.0, 1.0, "auto")
            attend(q_heads, keys, values, heads, *where)
            output(hidden, attended)
            wide.copy_(hidden)
            wide.add_(residual)
            residual.copy_(wide)
            norm(before_mlp)
            to_gate_up(gate_up, normed)
            silu(gate, out=acted)
            acted.mul_(up)
            down(hidden, acted)
            wide.copy_(hidden)
            wide.add_(residual)
            residual.copy_(wide)
        norm(c.last_norm)
        return normed


class Scratch:
    """The tensors that a step of `tokens` tokens is computed in, and their parts."""

    def __init__(self, model: Any, tokens: int) -> None:
        torch: Any = importlib.import_module("torch")
        size: int = model.config.hidden_size
        attention, inner = model.layers[0].self_attn, model.config.intermediate_size
        dtype = model.norm.weight.dtype

        def made(columns: int, dtype: Any = dtype) -> Any:
            return torch.empty(tokens, columns, dtype=dtype)

        def in_heads(part: Any) -> Any:
            return part.view(tokens, -1, attention.head_dim)

        self.wide, self._squares, self._mean = (made(n, torch.float32) for n in (size, size, 1))
        self._size, self._epsilon = torch.tensor(float(size)), torch.tensor(model.norm.variance_epsilon)
        self.hidden, self.normed = made(size), made(size)
        self.qkv = made(attention.q_size + 2 * attention.kv_size)
        self.q, self.k, v = self.qkv.split([attention.q_size, attention.kv_size, attention.kv_size], dim=-1)
        self.q_heads, self.k_heads, self.v_heads = in_heads(self.q), in_heads(self.k), in_heads(v)
        self.attended = made(attention.q_size)
        self.attended_heads = in_heads(self.attended)
        self.gate_up = made(2 * inner)
        self.gate, self.up = self.gate_up.split([inner, inner], dim=-1)
        self.acted = made(inner)
        self._mul, self._sum = torch.mul, torch.sum

    def norm(self, weight: Any) -> None:
        """Put the root-mean-square norm of `wide` into `normed`, rounded where vLLM's native one rounds."""
        wide, squares, mean, normed = self.wide, self._squares, self._mean, self.normed
        self._mul(wide, wide, out=squares)
        self._sum(squares, -1, keepdim=True, out=mean)
        mean.div_(self._size)
        mean.add_(self._epsilon)
        mean.rsqrt_()
        wide.mul_(mean)
        normed.copy_(wide)
        normed.mul_(weight)
