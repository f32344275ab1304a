"""The deep-thinking ratio: the share of an answer's tokens whose prediction settles only in the last layers.

After Chen et al., "Think Deep, Not Just Long" (arXiv 2602.13517). Each layer's hidden state is read as a
prediction, by the model's own last norm and output matrix; how far that is from the last layer's is the
Jensen-Shannon divergence in bits, 0 to 1. A token settles at the first layer whose prediction, or an earlier
one's, is within `SETTLED` of the last layer's; it is a deep-thinking token where that layer is among the last
`1 - DEEP` of all. Both constants are the paper's. Computed by transformers beside the engine, which shows no
hidden states: one pass over the prompt, one over the answers to it, and for each answer token the output
matrix once a layer (for SmolLM2-135M some six times the work of the pass itself).
"""

import importlib
import math
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pinnace.models.completion import Message
from pinnace.models.tokens import ChatTokenizer

T = TypeVar("T")
SETTLED = 0.5
"""Bits of divergence from the last layer's prediction within which a token has settled."""
DEEP = 0.85
"""Share of the layers after which settling is deep."""
TOKENS_AT_ONCE = 32
"""Answer tokens of which all predictions are held in memory together."""


class DeepThinking:
    """A model, read layer by layer. Loads at the first call, in whatever thread makes it; for one at a time.

    :param folder: of a checkpoint that transformers loads.
    :param adapter: the folder of the adapter that is laid on it, for a specialist (needs `pinnace[train]`).
    :param system: the system turn to begin with where the messages have none, as it serves.
    """

    def __init__(
        self,
        folder: Path,
        *,
        adapter: Path | None = None,
        system: str | None = None,
        settled: float = SETTLED,
        deep: float = DEEP,
    ) -> None:
        self._folder = folder
        self._adapter = adapter
        self._system = system
        self._settled = settled
        self._deep = deep
        self._loaded: tuple[ChatTokenizer, Any] | None = None

    def ratio(self, messages: Sequence[Message], answer: str) -> float:
        """The deep-thinking ratio of `answer` to `messages`, 0 to 1; 0 for an empty one."""
        return self.ratios(messages, [answer])[0]

    def ratios(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """The same of several answers, in their order; `messages` are read once for all of them."""
        found = self._read(messages, answers, self._are_deep)
        return [float(np.mean(each)) if each else 0.0 for each in found]

    def depths(self, messages: Sequence[Message], answers: Sequence[str]) -> list[list[int]]:
        """At which layer each token of each answer settles, from 1."""
        return self._read(messages, answers, self._settling)

    def _read(
        self,
        messages: Sequence[Message],
        answers: Sequence[str],
        told: Callable[[Any, Sequence[Any]], list[T]],
    ) -> list[list[T]]:
        """What `told` says of each token of each answer."""
        torch: Any = importlib.import_module("torch")
        tokenizer, model = self._load()
        said = [tokenizer.encode_now(answer) for answer in answers]
        if not any(said):
            return [[] for _ in said]
        with torch.inference_mode():
            states = _states(model, tokenizer.render_now(messages, self._system), said)
            found: list[T] = []
            for at in range(0, len(states[0]), TOKENS_AT_ONCE):
                found += told(model, [state[at : at + TOKENS_AT_ONCE] for state in states])
        left = iter(found)
        return [list(islice(left, len(tokens))) for tokens in said]

    def _settling(self, model: Any, states: Sequence[Any]) -> list[int]:
        """The depths of some tokens; `states` has (tokens, width) of each layer."""
        torch: Any = importlib.import_module("torch")
        last = _predicted(model, states[-1])
        depths = torch.full((len(last),), len(states))
        for layer in range(len(states) - 1, 0, -1):
            early = _predicted(model, model.model.norm(states[layer - 1]))
            depths[divergence(early, last) <= self._settled] = layer
        return depths.tolist()

    def _are_deep(self, model: Any, states: Sequence[Any]) -> list[bool]:
        """Which of some tokens settle among the last layers; one is let go where it first settles below."""
        torch: Any = importlib.import_module("torch")
        last = _predicted(model, states[-1])
        left = torch.arange(len(last))
        for layer in range(first_deep(len(states), self._deep) - 1, 0, -1):
            early = _predicted(model, model.model.norm(states[layer - 1][left]))
            left = left[divergence(early, last[left]) > self._settled]
            if not len(left):
                break
        deep = set(left.tolist())
        return [at in deep for at in range(len(last))]

    def _load(self) -> tuple[ChatTokenizer, Any]:
        if self._loaded is None:
            transformers: Any = importlib.import_module("transformers")
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(self._folder), dtype="bfloat16", local_files_only=True
            )
            if self._adapter is not None:
                peft: Any = importlib.import_module("peft")
                model = peft.PeftModel.from_pretrained(model, str(self._adapter)).merge_and_unload()
            self._loaded = ChatTokenizer(self._folder), model.eval()
        return self._loaded


def _states(model: Any, asked: Sequence[int], said: Sequence[Sequence[int]]) -> list[Any]:
    """Of each layer the state before each token of the answers, one answer after the other: (tokens, width).

    The state before a token predicts it; the last layer's states are normed already.
    """
    torch: Any = importlib.import_module("torch")
    prompt = model.model(torch.tensor([list(asked)]), output_hidden_states=True, use_cache=True)
    cache = prompt.past_key_values
    cache.batch_repeat_interleave(len(said))
    longest = max(map(len, said))
    padded = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in said])
    answers = model.model(padded, past_key_values=cache, output_hidden_states=True, use_cache=True)
    return [
        torch.cat(
            [
                torch.cat([before[0, -1:], after[at, : len(tokens) - 1]])
                for at, tokens in enumerate(said)
                if tokens
            ]
        )
        for before, after in zip(prompt.hidden_states[1:], answers.hidden_states[1:], strict=True)
    ]


def _predicted(model: Any, normed: Any) -> Any:
    """The probabilities of the next token by normed states of (tokens, width)."""
    return model.lm_head(normed).float().softmax(-1)


def divergence(first: Any, second: Any) -> Any:
    """The Jensen-Shannon divergence of rows of probabilities, tensors of (n, classes), in bits."""
    torch: Any = importlib.import_module("torch")

    def entropy(p: Any) -> Any:
        return torch.special.entr(p).sum(-1) / math.log(2)

    return entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2


def deep_share(depths: Sequence[int], layers: int, deep: float = DEEP) -> float:
    """The share of tokens that settle at or after layer `deep * layers`, rounded up; 0 of none."""
    if not depths:
        return 0.0
    return float(np.mean([depth >= first_deep(layers, deep) for depth in depths]))


def first_deep(layers: int, deep: float) -> int:
    """The layer from which on settling is deep, from 1."""
    return max(math.ceil(deep * layers), 1)
