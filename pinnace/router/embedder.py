"""Embedders: from request text to a vector.

`SentenceEmbedder` is the default, all-MiniLM-L6-v2 in bf16 on CPU. `HashingEmbedder` needs no weights:
hashed words and character n-grams, for gateways without torch and for tests.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinnace.models.cpu_settings import bound_kernels
from pinnace.models.weights import default_cache, resolve_weights
from pinnace.router.types import Embedder, FloatArray
from pinnace.router.vectors import normalised

HASHING = "hashing"
MAX_CHARACTERS = 2_000
MAX_TOKENS = 128


class SentenceEmbedder:
    """A sentence-transformers model, loaded at first use.

    Texts are cut at `max_tokens`: for routing, longer ones gain little and cost much.

    :param source: where its weights come from, as in `router.yaml`.
    :param max_tokens: the longest text that counts whole; never more than the model reads.
    """

    def __init__(self, source: str, max_tokens: int = MAX_TOKENS) -> None:
        self.name = source.partition("#")[0]
        self.max_characters = max_tokens * MAX_CHARACTERS // MAX_TOKENS
        self._most = max_tokens
        self._source = source
        self._loaded: Any = None
        self._counter: Any = None

    @property
    def max_tokens(self) -> int:
        """The longest text that counts whole."""
        return int(self._model().max_seq_length)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self._model().get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of shape (n, dim), rows L2-normalised.

        :raises WeightsError: at first use, when the weights cannot be had.
        """
        vectors: Any = self._model().encode(
            [text[: self.max_characters] for text in texts],
            batch_size=64,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        return normalised(np.asarray(vectors.float().numpy(), dtype=np.float64))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, whole; any thread may ask."""
        if self._counter is None:
            self._counter = _counter(self._model().tokenizer)
        encoded: Any = self._counter.encode_batch(list(texts))
        return [len(each.ids) for each in encoded]

    def _model(self) -> Any:
        if self._loaded is None:
            folder = resolve_weights([self._source], cache=default_cache()).folder
            self._loaded = _load(folder, self._most)
        return self._loaded


def _load(folder: Path, max_tokens: int) -> Any:
    bound_kernels()
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)  # as quick for short texts, and it leaves a core to the engines
    importlib.import_module("transformers.utils.logging").disable_progress_bar()  # no bar among log lines
    sentence_transformers: Any = importlib.import_module("sentence_transformers")
    model: Any = sentence_transformers.SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.bfloat16}
    )
    model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model


def _counter(tokenizer: Any) -> Any:
    """A tokenizer of its own, that cuts nothing: the model's own is used by its thread at the same time."""
    tokenizers: Any = importlib.import_module("tokenizers")
    counter: Any = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    counter.no_truncation()
    counter.no_padding()
    return counter


class HashingEmbedder:
    """Hashed words and character n-grams: no weights, no fitting, a fraction of a millisecond."""

    name = HASHING
    max_characters = MAX_CHARACTERS
    max_tokens = MAX_CHARACTERS

    def __init__(self, dim: int = 512) -> None:
        self.dim = dim
        text: Any = importlib.import_module("sklearn.feature_extraction.text")
        self._words: Any = text.HashingVectorizer(n_features=dim, ngram_range=(1, 2), norm=None)
        self._characters: Any = text.HashingVectorizer(
            n_features=dim, analyzer="char_wb", ngram_range=(3, 4), norm=None
        )

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of shape (n, dim), rows L2-normalised."""
        cut = [text[:MAX_CHARACTERS] for text in texts]
        summed: Any = self._words.transform(cut) * 2 + self._characters.transform(cut)
        return normalised(np.asarray(summed.toarray(), dtype=np.float64))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [len(text.split()) for text in texts]


def load_embedder(source: str) -> Embedder:
    """The embedder that `router.yaml` names: `hashing`, or a source of weights."""
    return HashingEmbedder() if source == HASHING else SentenceEmbedder(source)
