"""Readable names for clusters: the words that set a cluster's prompts apart from all others. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import (  # pyright: ignore[reportMissingTypeStubs]
    ENGLISH_STOP_WORDS,
    TfidfVectorizer,
)

from pinnace.router.types import IntArray

WORDS = 4


def label_clusters(prompts: Sequence[str], members: IntArray, k: int) -> tuple[str, ...]:
    """For each of k clusters, its most telling words, commas between."""
    pattern = r"[A-Za-z]{3,}"
    vectorizer: Any = TfidfVectorizer(
        stop_words=list(ENGLISH_STOP_WORDS), token_pattern=pattern, sublinear_tf=True, max_df=0.08
    )
    weights: Any = vectorizer.fit_transform(prompts)
    words: list[str] = vectorizer.get_feature_names_out().tolist()
    everywhere = np.asarray(weights.mean(axis=0)).ravel()
    return tuple(_label(weights, words, everywhere, members == cluster) for cluster in range(k))


def _label(weights: Any, words: Sequence[str], everywhere: Any, chosen: Any) -> str:
    if not chosen.any():
        return "empty"
    lead = np.asarray(weights[chosen].mean(axis=0)).ravel() - everywhere
    telling: list[int] = np.argsort(-lead)[:WORDS].tolist()
    return ", ".join(words[i] for i in telling)
