"""Character n-grams of the request's text, reduced to a few dense numbers.

They see what a sentence embedding smooths over: notation, templates, code, languages that the embedder
does not know.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.decomposition import TruncatedSVD  # pyright: ignore[reportMissingTypeStubs]
from sklearn.feature_extraction.text import (  # pyright: ignore[reportMissingTypeStubs]
    HashingVectorizer,
)

from pinnace.router.types import FloatArray

MAX_CHARACTERS = 1_000
HEAD = 200
"""Characters that are kept of the beginning of a longer text; the rest is its end, where the question is."""
BUCKETS = 2**13
GRAMS = (2, 4)


class NgramProjection:
    """Hashed character n-grams, weighted by rarity and projected on their main directions.

    :param dim: directions; fewer where there are few texts.
    """

    def __init__(self, dim: int = 96, *, random_state: int = 0) -> None:
        self.dim = dim
        self.random_state = random_state

    def fit(self, counts: Any) -> Self:
        """Learn `rarity_` (buckets,) and `directions_` (buckets, dim) from counts (n, buckets)."""
        seen = np.asarray((counts > 0).sum(axis=0)).ravel()
        self.rarity_ = np.log((1 + counts.shape[0]) / (1 + seen)) + 1
        dim = max(1, min(self.dim, counts.shape[0] - 1))
        found: Any = TruncatedSVD(n_components=dim, n_iter=2, random_state=self.random_state)
        with np.errstate(invalid="ignore", divide="ignore"):  # shares of a variance that may be 0; not used
            found.fit(self._weighted(counts))
        self.directions_: FloatArray = found.components_.T.astype(np.float64)
        return self

    def transform(self, counts: Any) -> FloatArray:
        """Coordinates of shape (n, dim) of counts (n, buckets); rows are at most of length one."""
        return np.asarray(self._weighted(counts) @ self.directions_, dtype=np.float64)

    def _weighted(self, counts: Any) -> Any:
        weighted = counts.copy()
        weighted.data = (1 + np.log(weighted.data)) * self.rarity_.astype(np.float32)[weighted.indices]
        sizes = np.diff(weighted.indptr)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        squares = np.bincount(rows, weighted.data * weighted.data, len(sizes))
        weighted.data /= np.maximum(np.sqrt(squares), 1e-12).astype(np.float32)[rows]
        return weighted


def ngram_counts(texts: Sequence[str]) -> Any:
    """Sparse counts of hashed character n-grams, (n, buckets), of at most 1,000 characters of each text."""
    hashing: Any = HashingVectorizer
    vectorizer: Any = hashing(
        n_features=BUCKETS,
        alternate_sign=False,
        norm=None,
        analyzer="char_wb",
        ngram_range=GRAMS,
        dtype=np.float32,
    )
    return vectorizer.transform([_encodable(_cut(text)) for text in texts])


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[:HEAD] + text[HEAD - MAX_CHARACTERS :]


def _encodable(text: str) -> str:
    """The text with lone surrogates, which JSON may hold and UTF-8 may not, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
