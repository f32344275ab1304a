"""Embedders: the hashing one always, MiniLM where its weights can be had."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.config import Router
from pinnace.errors import WeightsError
from pinnace.router.embedder import MAX_CHARACTERS, Embedder, HashingEmbedder, load_embedder

HASHING = HashingEmbedder()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_texts_have_unit_vectors_or_none(texts: list[str]) -> None:
    vectors = HASHING.embed(texts)
    assert vectors.shape == (len(texts), HASHING.dim)
    assert vectors.dtype == np.float64
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(length == pytest.approx(1) or length == 0 for length in lengths)


def test_a_vector_depends_on_its_text_alone() -> None:
    together = HASHING.embed(["one text", "another"])
    np.testing.assert_array_equal(together[:1], HashingEmbedder().embed(["one text"]))


def test_like_texts_are_near() -> None:
    paris, rome, sums = HASHING.embed(
        ["What is the capital of France?", "What is the capital of Italy?", "Add 17 and 25, then halve it"]
    )
    assert paris @ rome > 0.5 > paris @ sums


def test_only_the_beginning_of_a_long_text_counts() -> None:
    long = "word " * MAX_CHARACTERS
    np.testing.assert_array_equal(HASHING.embed([long]), HASHING.embed([long + "more"]))


def test_an_embedder_is_loaded_by_its_name_in_the_configuration() -> None:
    assert isinstance(load_embedder("hashing"), HashingEmbedder)
    with pytest.raises(WeightsError):
        load_embedder("path:/nowhere/at/all").embed(["x"])


@pytest.mark.real
def test_minilm_gives_unit_vectors_whatever_comes_with_a_text() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    minilm: Embedder = load_embedder(Router().embedder)
    texts = ["What is the capital of France?", "Which city is France's capital?", "Add 17 and 25.", ""]
    vectors = minilm.embed(texts)
    assert vectors.shape == (4, minilm.dim) == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]
    np.testing.assert_allclose(minilm.embed(texts[:1])[0], vectors[0], atol=0.02)
