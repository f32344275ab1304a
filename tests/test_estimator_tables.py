"""Learners that look a request up: tables per kind and per cluster, and nearest neighbours."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_worlds import DIM, KINDS, make_rows, make_world, mean_square, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.router.estimators.clusters import ClusterTable, fit_centroids, membership
from pinnace.router.estimators.kinds import KindTable, softmax
from pinnace.router.estimators.learner import FOLDS, column_means, folds_of, numbered
from pinnace.router.estimators.neighbours import BLOCK, Neighbours
from pinnace.router.estimators.tables import group_means

seeds = st.integers(0, 10_000)


def test_names_are_numbered_in_order_of_first_appearance() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert numbered([]).shape == (0,)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), seeds)
def test_rows_of_one_prompt_share_a_fold(prompts: list[int], seed: int) -> None:
    groups = numbered([str(prompt) for prompt in prompts])
    folds = folds_of(groups, seed)
    assert ((folds >= 0) & (folds < FOLDS)).all()
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    sizes = np.bincount([folds[groups == group][0] for group in set(groups)], minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 1
    assert (folds == folds_of(groups, seed)).all()


def test_a_model_without_scores_has_the_mean_of_all_scores() -> None:
    scores = np.asarray([[1.0, np.nan, 0.0], [np.nan, np.nan, 0.5]])
    assert column_means(scores) == pytest.approx([1.0, 0.5, 0.25])
    assert column_means(np.full((2, 2), np.nan)).tolist() == [0, 0]


def test_means_of_groups_that_are_noise_shrink_to_the_model_and_of_groups_that_differ_hardly() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 50)
    scores = (rng.random((400, 2)) < 0.6).astype(np.float64)
    scores[:, 1] = rng.random(400) < np.where(groups < 4, 0.1, 0.9)
    raw = np.stack([scores[groups == group].mean(axis=0) for group in range(8)])
    means, sd = group_means(scores, groups, 8)
    left = np.abs(means - scores.mean(axis=0)).sum(axis=0) / np.abs(raw - scores.mean(axis=0)).sum(axis=0)
    assert left[0] < 0.4
    assert left[1] > 0.95
    assert sd == pytest.approx(scores[groups == 0].std(axis=0)[1] / 50**0.5 * np.ones((8, 2)), rel=1)


@given(seeds, st.floats(0.05, 0.6))
@settings(max_examples=20)
def test_a_score_that_is_not_known_counts_for_nothing(seed: int, missing: float) -> None:
    rows = make_rows(80, 3, seed, missing=missing)
    groups = np.random.default_rng(seed).integers(6, size=80)
    means = group_means(rows.scores, groups, 6)[0]
    for model in range(3):
        known = ~np.isnan(rows.scores[:, model])
        alone = group_means(rows.scores[known, model : model + 1], groups[known], 6)[0]
        assert means[:, model] == pytest.approx(alone[:, 0])


def test_an_empty_group_and_a_model_that_never_ran_have_means_all_the_same() -> None:
    scores = np.column_stack([np.asarray([0.0, 1.0, 1.0, 1.0]), np.full(4, np.nan)])
    means, sd = group_means(scores, np.asarray([0, 0, 1, 1]), 3)
    assert means[2] == pytest.approx([0.75, 0.75])
    assert means[:, 1] == pytest.approx(0.75)
    assert (sd > 0).all()


def test_kinds_with_few_rows_are_merged() -> None:
    kinds = np.repeat([0, 1, 2, 3], [40, 40, 12, 13])
    assert KindTable().fit(make_rows(105, 2, 0, kinds=kinds)).table_.shape == (3, 2)
    assert KindTable().fit(make_rows(40, 2, 0, kinds=np.arange(40))).table_.shape == (1, 2)


@pytest.mark.parametrize("counts", [[30, 30, 1], [1], [30, 1]])
def test_one_row_that_is_left_over_joins_the_largest_kind(counts: list[int]) -> None:
    kinds = np.repeat(np.arange(len(counts)), counts)
    table = KindTable().fit(make_rows(len(kinds), 2, 0, kinds=kinds))
    assert len(table.table_) == max(1, len(counts) - 1)


@pytest.mark.parametrize("count", [2, 3, KINDS])
def test_a_request_has_the_scores_of_the_kind_that_it_looks_like(count: int) -> None:
    world = make_world(800, 0)
    chosen = world.rows.take(world.rows.kinds < count)
    truth = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.5, 0.6], [0.1, 0.1]])[chosen.kinds]
    rows = replace(chosen.with_scores(truth), features=chosen.features + 2 * np.eye(24)[chosen.kinds])
    fitted = KindTable().fit(rows)
    assert fitted.weights_.shape == (24, count)
    assert mean_square(fitted.predict(rows.features), truth) < 0.1 * truth.var(axis=0).mean()


@given(seeds, st.integers(1, 6))
@settings(max_examples=20)
def test_probabilities_are_such_whatever_the_odds(seed: int, kinds: int) -> None:
    odds = 1e3 * np.random.default_rng(seed).normal(size=(5, kinds))
    found = softmax(odds)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found >= 0).all()
    assert found == pytest.approx(softmax(odds + 1e4))


@given(seeds, st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=30)
def test_membership_is_over_the_nearest_and_does_not_see_clusters_far_off(
    seed: int, count: int, nearest: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, centroids = rng.normal(size=(2, 10, DIM))
    centroids = centroids[:count]
    weights = membership(vectors, centroids, nearest)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert ((weights > 0).sum(axis=1) <= nearest).all()
    assert (weights.argmax(axis=1) == (vectors @ centroids.T).argmax(axis=1)).all()
    if count >= nearest:
        away = -100 * vectors.sum(axis=0, keepdims=True)
        near = vectors[(vectors @ away.T)[:, 0] < -100]
        more = membership(near, np.vstack([centroids, away]), nearest)
        assert (more[:, -1] == 0).all()
        assert more[:, :-1] == pytest.approx(membership(near, centroids, nearest))


def test_there_are_never_more_clusters_than_a_tenth_of_the_rows_or_than_distinct_rows() -> None:
    vectors = np.random.default_rng(0).normal(size=(95, DIM))
    found = fit_centroids(vectors, 64, random_state=0)
    assert found.shape == (9, DIM)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert len(fit_centroids(np.tile(vectors[:2], (40, 1)), 64, random_state=0)) == 2
    assert len(fit_centroids(vectors[:3], 64, random_state=0)) == 1


@pytest.mark.parametrize("is_shrunk", [True, False])
def test_a_cluster_where_a_model_never_ran_has_the_models_mean(is_shrunk: bool) -> None:
    rows = make_rows(60, 2, 0)
    members = np.arange(60) % 3
    features = np.hstack([np.eye(3)[members], rows.features[:, 3:]])
    scores = np.where((members == 1)[:, None], np.nan, rows.scores * [1.0, 0.5])
    fitted = ClusterTable(centroids=np.eye(3, DIM), nearest=1, is_shrunk=is_shrunk)
    fitted.fit(replace(rows, features=features, scores=scores))
    assert fitted.table_[1] == pytest.approx(column_means(scores))


def test_a_table_of_clusters_learns_what_differs_between_kinds() -> None:
    world, fresh = make_world(1500, 0), make_world(1500, 1)
    predicted = ClusterTable(32).fit(with_gaps(world.rows, 0.3, 0)).predict(fresh.rows.features)
    assert mean_square(predicted, fresh.truth) < 0.6 * fresh.truth.var(axis=0).mean()


def test_neighbours_skip_scores_that_are_not_known() -> None:
    rows = make_rows(400, 2, 0)
    gaps = with_gaps(rows, 0.4, 1)
    like = gaps.with_scores(np.where(np.isnan(gaps.scores), np.nan, 0.7))
    assert Neighbours(5).fit(like).predict(rows.features) == pytest.approx(0.7)
    near = gaps.features[:1, :DIM] @ gaps.features[:, :DIM].T
    lengths = np.linalg.norm(gaps.features[:, :DIM], axis=1)
    found = gaps.scores[np.argsort(-near[0] / lengths)[:9]]
    by_hand = (np.nansum(found, axis=0) + column_means(gaps.scores)) / ((~np.isnan(found)).sum(axis=0) + 1)
    assert np.isnan(found).any()
    assert Neighbours(9).fit(gaps).predict(gaps.features[:1])[0] == pytest.approx(by_hand)


def test_a_request_has_the_same_neighbours_whoever_else_is_asked_about() -> None:
    rows = make_rows(60, 2, 0)
    rows.scores[7] = np.nan
    fitted = Neighbours(3).fit(rows)
    asked = np.tile(rows.features, (BLOCK // 60 + 2, 1))
    together = fitted.predict(asked)
    alone = np.vstack([fitted.predict(asked[i : i + 1]) for i in range(60)])
    assert together[-60:] == pytest.approx(together[:60])
    assert alone == pytest.approx(together[:60])
    assert fitted.predict(asked[:0]).shape == (0, 2)
