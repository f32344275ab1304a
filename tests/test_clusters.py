"""Clusters and their labels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.clusters import NEIGHBOURS, SHARPNESS, Clusters
from pinnace.router.labels import label_clusters
from pinnace.router.vectors import normalised


def clusters_of(k: int, dim: int, seed: int = 0) -> Clusters:
    centroids = normalised(np.random.default_rng(seed).normal(size=(k, dim)))
    return Clusters(centroids, tuple(f"c{i}" for i in range(k)))


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 6))
def test_weights_are_a_distribution_over_the_nearest_heaviest_first(k: int, dim: int, n: int) -> None:
    clusters = clusters_of(k, dim)
    vectors = normalised(np.random.default_rng(1).normal(size=(n, dim)))
    found, weights = clusters.membership(vectors)
    assert found.shape == weights.shape == (n, min(k, NEIGHBOURS))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (np.diff(weights, axis=1) <= 0).all()
    np.testing.assert_array_equal(found[:, 0], np.argmax(vectors @ clusters.centroids.T, axis=1))


def test_weights_are_those_worked_out_by_hand() -> None:
    clusters = Clusters(np.eye(2), ("x", "y"))
    found, weights = clusters.membership(np.array([[0.6, 0.8]]))
    assert found.tolist() == [[1, 0]]
    odds = math.exp(SHARPNESS * 0.2)
    np.testing.assert_allclose(weights, [[odds / (1 + odds), 1 / (1 + odds)]])


def test_a_text_that_is_like_nothing_is_spread_evenly() -> None:
    _, weights = Clusters(np.eye(3), ("x", "y", "z")).membership(np.zeros((1, 3)))
    np.testing.assert_allclose(weights, 1 / 3)


COUNTRIES = ("Chad", "Cuba", "Fiji", "Iran", "Iraq", "Laos")
PROMPTS = [
    *(f"Add the numbers number{'abcdefghijkl'[i]} with care" for i in range(12)),
    *(f"Where lies the country {name} on a map" for name in COUNTRIES * 2),
]


def test_a_label_is_made_of_the_words_that_set_a_cluster_apart() -> None:
    prompts = [*PROMPTS, *("Tell me about a river" for _ in range(2)), *("filler text" for _ in range(10))]
    members = np.array([0] * 12 + [1] * 12 + [2] * 2 + [3] * 10)
    labels = label_clusters(prompts, members, 5)
    assert "river" in labels[2]
    assert labels[1] == "chad, cuba, fiji, iran"
    assert labels[4] == "empty"


@pytest.mark.parametrize(
    "prompts",
    [["the same words"] * 12, ["what is it", "and the"] * 6, ["1 + 1", "2 + 2"] * 6, [""] * 12],
    ids=["all alike", "stop words", "sums", "empty"],
)
def test_prompts_without_telling_words_have_numbers_for_labels(prompts: list[str]) -> None:
    assert label_clusters(prompts, np.array([0, 1] * 6), 2) == ("cluster 0", "cluster 1")


def test_words_of_any_alphabet_tell() -> None:
    prompts = [f"вопрос {'абвгдежзиклмн'[i] * 4}" for i in range(13)] + ["столица Франции"]
    labels = label_clusters(prompts, np.array([0] * 13 + [1]), 2)
    assert labels[1] == "столица, франции"


def test_one_cluster_of_everything_is_mixed() -> None:
    prompts = [f"word{'abcdefghijklmnopqrst'[i]}" for i in range(20)]
    assert label_clusters(prompts, np.zeros(20, dtype=np.int64), 1) == ("mixed",)
