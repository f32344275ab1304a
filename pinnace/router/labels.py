"""Readable names for clusters: the words that set a cluster's prompts apart from all others. Pure."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import (  # pyright: ignore[reportMissingTypeStubs]
    ENGLISH_STOP_WORDS,
    TfidfVectorizer,
)

from pinnace.router.types import IntArray

WORDS = 4
_SIGNS = {"+": "plus", "-": "minus", "*": "times", "$": "dollars", "%": "percent"}
_SIGN = re.compile(r"(?<= )[-+*](?= )|[$%]")
LETTERS = r"[^\W\d_]{3,}"
COMMON = 0.08
"""Words in more than this share of the prompts tell nothing."""


def label_clusters(prompts: Sequence[str], members: IntArray, k: int) -> tuple[str, ...]:
    """For each of k clusters, its most telling words, commas between; a number where it has none."""
    try:
        weights, words = _weigh(prompts)
    except ValueError:  # scikit-learn's way of saying that no word is left
        return tuple(f"cluster {cluster}" for cluster in range(k))
    everywhere = np.asarray(weights.mean(axis=0)).ravel()
    return tuple(_label(weights, words, everywhere, members == cluster) for cluster in range(k))


def _weigh(prompts: Sequence[str]) -> tuple[Any, list[str]]:
    """Each prompt's weight for each word, and the words; arithmetic signs count as words."""
    vectorizer: Any = TfidfVectorizer(
        stop_words=list(ENGLISH_STOP_WORDS), token_pattern=LETTERS, sublinear_tf=True, max_df=COMMON
    )
    weights: Any = vectorizer.fit_transform([_spelled(prompt) for prompt in prompts])
    return weights, vectorizer.get_feature_names_out().tolist()


def _spelled(prompt: str) -> str:
    return _SIGN.sub(lambda sign: f" {_SIGNS[sign[0]]} ", prompt)


def _label(weights: Any, words: Sequence[str], everywhere: Any, chosen: Any) -> str:
    if not chosen.any():
        return "empty"
    lead = np.asarray(weights[chosen].mean(axis=0)).ravel() - everywhere
    telling: list[int] = np.argsort(-lead, kind="stable")[:WORDS].tolist()
    return ", ".join(words[i] for i in telling if lead[i] > 0) or "mixed"
