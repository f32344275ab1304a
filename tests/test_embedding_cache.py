"""Embeddings are made once, and a bad cache costs time, not results."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pinnace.eval.embedding_cache import BLOCK, embed_cached
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.types import FloatArray


class Counting:
    """The hashing embedder, which writes down what it was asked to embed."""

    def __init__(self, name: str = "counting", shift: float = 0.0) -> None:
        self.name = name
        self.dim = 32
        self.asked: list[str] = []
        self._inner = HashingEmbedder(32)
        self._shift = shift

    def embed(self, texts: Sequence[str]) -> FloatArray:
        self.asked.extend(texts)
        return self._inner.embed(texts) + self._shift


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "vectors.sqlite"


def test_vectors_are_the_embedders_in_order_and_in_float32(path: Path) -> None:
    texts = ["one", "two", "three", "one"]
    found = embed_cached(Counting(), texts, path)
    expected = HashingEmbedder(32).embed(texts).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64


def test_a_text_that_comes_twice_is_embedded_once(path: Path) -> None:
    embedder = Counting()
    embed_cached(embedder, ["same", "other", "same"], path)
    assert sorted(embedder.asked) == ["other", "same"]


def test_a_known_text_is_never_embedded_again(path: Path) -> None:
    first, second = Counting(), Counting()
    before = embed_cached(first, ["a", "b"], path)
    after = embed_cached(second, ["b", "c", "a"], path)
    assert second.asked == ["c"]
    np.testing.assert_array_equal(after[[2, 0]], before)


def test_another_embedder_has_vectors_of_its_own(path: Path) -> None:
    embed_cached(Counting("one"), ["a"], path)
    other = Counting("other", shift=1.0)
    found = embed_cached(other, ["a"], path)
    assert other.asked == ["a"]
    np.testing.assert_allclose(found, HashingEmbedder(32).embed(["a"]) + 1.0, atol=1e-6)


def test_text_that_differs_in_white_space_is_other_text(path: Path) -> None:
    embedder = Counting()
    embed_cached(embedder, ["a b", "a  b"], path)
    assert embedder.asked == ["a b", "a  b"]


def test_a_broken_file_costs_time_and_no_result(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    with caplog.at_level(logging.WARNING):
        found = embed_cached(Counting(), ["a", "b"], path)
    np.testing.assert_array_equal(found, embed_cached(Counting(), ["a", "b"], path.with_name("sound")))
    assert any("not readable" in record.message for record in caplog.records)
    assert any("not written" in record.message for record in caplog.records)


def test_a_place_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert embed_cached(Counting(), ["a"], tmp_path / "file" / "vectors.sqlite").shape == (1, 32)


def test_a_lone_surrogate_is_a_text_like_any_other(path: Path) -> None:
    class Lengths(Counting):
        def embed(self, texts: Sequence[str]) -> FloatArray:
            self.asked.extend(texts)
            return np.array([[float(len(text))] for text in texts])

    embedder = Lengths()
    for _ in range(2):
        assert embed_cached(embedder, ["a\ud800", "a"], path).tolist() == [[2.0], [1.0]]
    assert embedder.asked == ["a\ud800", "a"]


def test_progress_counts_the_texts_that_are_missing(path: Path) -> None:
    embed_cached(Counting(), ["known"], path)
    told: list[tuple[int, int]] = []
    texts = ["known", *(f"new {n}" for n in range(BLOCK + 1))]
    embed_cached(Counting(), texts, path, on_done=lambda done, total: told.append((done, total)))
    assert told == [(BLOCK, BLOCK + 1), (BLOCK + 1, BLOCK + 1)]
