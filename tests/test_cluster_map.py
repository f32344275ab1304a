"""The cluster map: names, sizes, winners, and a gain that the choice of the winner does not spoil."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.eval.cluster_map import cluster_map

TOPICS = (
    "harbour tide anchor sail keel mast rudder wharf buoy gale reef deck",
    "kitchen oven flour bread yeast pan butter dough spoon sugar salt whisk",
    "orbit comet planet star moon galaxy rocket eclipse meteor lunar solar crater",
)


def world(n=300, seed=0):
    """Prompts of three topics, one direction of the embedding each."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, 3, n)
    prompts = [" ".join(rng.permutation(TOPICS[topic].split())[:2]) for topic in topics]
    vectors = np.eye(8)[topics] + 0.05 * rng.standard_normal((n, 8))
    return prompts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), topics, rng


def test_clusters_hold_every_row_once_and_come_largest_first():
    prompts, vectors, topics, rng = world()
    found = cluster_map(prompts, vectors, rng.random((300, 2)), [0], 1, ["a", "b"], count=3)
    assert [each.rows for each in found] == sorted(np.bincount(topics).tolist(), reverse=True)
    assert sum(each.share for each in found) == pytest.approx(1)


def test_a_cluster_is_named_by_words_of_its_prompts():
    prompts, vectors, _, rng = world()
    found = cluster_map(prompts, vectors, rng.random((300, 2)), [0], 1, ["a", "b"], count=3)
    names = [set(each.label.split(", ")) for each in found]
    assert sorted(
        next(i for i, words in enumerate(TOPICS) if name <= set(words.split())) for name in names
    ) == [
        0,
        1,
        2,
    ]


def test_the_winner_is_the_best_small_model_and_gain_is_the_large_one_minus_it():
    prompts, vectors, topics, _ = world()
    scores = np.zeros((300, 3))
    scores[:, 0], scores[:, 1], scores[:, 2] = topics == 0, topics == 1, topics != 2
    found = cluster_map(prompts, vectors, scores, [0, 1], 2, ["first", "second", "large"], count=3)
    by_winner = {each.best_small: each for each in found if each.best_small_quality == 100}
    assert set(by_winner) == {"first", "second"}
    assert [each.gain for each in by_winner.values()] == [0, 0]
    lost = next(each for each in found if each.best_small_quality == 0)
    assert (lost.large_quality, lost.gain) == (0, 0)


def test_choosing_among_many_equal_models_does_not_pull_the_gain_down():
    models = [f"m{i}" for i in range(31)]
    found, naive = [], []
    for seed in range(8):
        prompts, vectors, topics, rng = world(900, seed)
        scores = (rng.random((900, 31)) < 0.5).astype(float)
        found += cluster_map(prompts, vectors, scores, list(range(30)), 30, models, count=3, seed=seed)
        naive += [
            scores[topics == c, 30].mean() - scores[topics == c, :30].mean(axis=0).max() for c in range(3)
        ]
    assert abs(np.mean([each.gain for each in found])) < 2
    assert sum(each.gain_low < 0 < each.gain_high for each in found) >= 20
    assert 100 * np.mean(naive) < -4  # what it would be on the rows that chose the winner


def test_a_few_rows_that_agree_are_not_certain():
    prompts, vectors, _, _ = world(n=30)
    found = cluster_map(prompts, vectors, np.ones((30, 2)), [0], 1, ["a", "b"], count=3)
    assert all(each.gain == 0 and each.gain_low < -10 and each.gain_high > 10 for each in found)


def test_without_a_large_model_there_is_no_gain():
    prompts, vectors, _, rng = world()
    found = cluster_map(prompts, vectors, rng.random((300, 2)), [0, 1], None, ["a", "b"], count=3)
    assert {(each.large_quality, each.gain, each.gain_low, each.gain_high) for each in found} == {(None,) * 4}
    assert all(40 < each.best_small_quality < 60 for each in found)


def test_a_model_that_never_ran_never_wins_and_rows_without_scores_do_not_count():
    prompts, vectors, _, rng = world()
    scores = np.stack([np.full(300, np.nan), np.zeros(300), np.ones(300)], axis=1)
    scores[rng.random(300) < 0.2, 2] = np.nan
    found = cluster_map(prompts, vectors, scores, [0, 1], 2, ["absent", "small", "large"], count=3)
    assert {(each.best_small, each.gain) for each in found} == {("small", 100)}


def test_the_same_seed_gives_the_same_map():
    prompts, vectors, _, rng = world()
    scores = rng.random((300, 3))
    first, again = (cluster_map(prompts, vectors, scores, [0, 1], 2, "abc", seed=5) for _ in range(2))
    assert first == again


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(12, 60), st.integers(1, 4))
def test_the_interval_holds_the_gain_and_the_gain_is_the_difference(seed, n, small):
    prompts, vectors, _, rng = world(n, seed)
    scores = rng.choice([0, 0.5, 1], size=(n, small + 1), p=rng.dirichlet(np.ones(3)))
    models = [f"m{i}" for i in range(small + 1)]
    for each in cluster_map(prompts, vectors, scores, list(range(small)), small, models, count=3, seed=seed):
        assert -100 <= each.gain_low <= each.gain <= each.gain_high <= 100
        assert each.gain == pytest.approx(each.large_quality - each.best_small_quality)
        assert np.isfinite([each.x, each.y]).all()
