"""Learners with linear heads: ridge regressions per model, per factor, and of costs."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_worlds import DIM, FORM, make_rows, mean_square, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.router.estimators.costs import CostHeads
from pinnace.router.estimators.factors import FactorHeads
from pinnace.router.estimators.learner import Rows
from pinnace.router.estimators.linear import LinearHeads, ridge

seeds = st.integers(0, 10_000)


@given(seeds, st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 300))
@settings(max_examples=40)
def test_both_forms_of_ridge_solve_its_normal_equations(seed: int, n: int, d: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, 3))
    weights = ridge(x, y, penalty)
    assert (x.T @ x + penalty * np.eye(d)) @ weights == pytest.approx(x.T @ y, abs=1e-9)


@given(seeds, st.sampled_from([12, 60]))
@settings(max_examples=20)
def test_a_model_has_the_head_that_its_own_rows_give_it(seed: int, n: int) -> None:
    rows = make_rows(n, 4, seed, missing=0.3)
    rows.scores[:, 1] = np.where(np.isnan(rows.scores[:, 0]), np.nan, rows.scores[:, 1])
    rows.scores[:, 3] = rows.scores[::-1, 2]
    together = LinearHeads(10.0).fit(rows)
    for model in range(4):
        own = rows.take(~np.isnan(rows.scores[:, model]))
        if len(own.scores):
            alone = LinearHeads(10.0).fit(own.with_scores(own.scores[:, model : model + 1]))
            assert together.weights_[:, model] == pytest.approx(alone.weights_[:, 0], abs=1e-9)
            assert together.intercepts_[model] == pytest.approx(alone.intercepts_[0])


def test_a_model_without_scores_is_expected_to_do_as_all_do() -> None:
    rows = make_rows(50, 3, 0)
    rows.scores[:, 1] = np.nan
    predicted = LinearHeads(10.0).fit(rows).predict(rows.features)
    assert predicted[:, 1] == pytest.approx(np.nanmean(rows.scores))
    assert predicted.mean(axis=0) == pytest.approx(
        np.nanmean(rows.scores[:, [0, 2]], axis=0)[[0, 0, 1]], abs=0.1
    )


def test_a_head_keeps_the_mean_of_the_rows_that_its_model_ran_on() -> None:
    rows = make_rows(80, 3, 0, missing=0.3)
    rows = replace(rows, features=rows.features + 3)
    predicted = np.where(np.isnan(rows.scores), np.nan, LinearHeads(50.0).fit(rows).predict(rows.features))
    assert np.nanmean(predicted, axis=0) == pytest.approx(np.nanmean(rows.scores, axis=0))


def test_a_head_looks_only_at_its_view() -> None:
    rows = make_rows(50, 2, 0)
    head = LinearHeads(1.0, slice(DIM, None)).fit(rows)
    changed = rows.features.copy()
    changed[:, :DIM] = 7.0
    assert head.weights_.shape == (FORM, 2)
    assert (head.predict(changed) == head.predict(rows.features)).all()
    assert LinearHeads(1.0, slice(DIM + FORM, None)).fit(rows).predict(rows.features) == pytest.approx(
        np.tile(rows.scores.mean(axis=0), (50, 1))
    )


def make_factor_world(seed: int, n: int = 120, models: int = 20) -> tuple[Rows, Rows]:
    """Models that rise and fall together in one way: rows with noise, and fresh rows with the truth."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n + 1000, DIM + FORM)) / 5
    truth = 0.5 + 0.1 * np.outer(features @ rng.normal(size=DIM + FORM), rng.normal(size=models))
    scores = truth + 0.1 * rng.normal(size=truth.shape)
    numbers = np.zeros(n + 1000, dtype=np.int64)
    everything = Rows(features, scores, numbers, np.arange(n + 1000), DIM)
    fresh = everything.with_scores(truth).take(np.arange(n, n + 1000))
    return everything.take(np.arange(n)), fresh


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("missing", [0.0, 0.5, 0.7])
def test_factors_find_what_models_have_in_common(seed: int, missing: float) -> None:
    rows, fresh = make_factor_world(seed)
    rows = with_gaps(rows, missing, seed)
    errors = [
        mean_square(learner.fit(rows).predict(fresh.features), fresh.scores)
        for learner in (FactorHeads(1, 1.0), LinearHeads(1.0))
    ]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_factors_stand_a_model_and_rows_without_scores_and_more_rank_than_models(rank: int) -> None:
    rows = make_rows(60, 4, 0, missing=0.2)
    rows.scores[:, 2] = np.nan
    rows.scores[:5] = np.nan
    predicted = FactorHeads(rank).fit(rows).predict(rows.features)
    assert predicted[:, 2] == pytest.approx(np.nanmean(rows.scores))


def test_factors_of_full_rank_are_a_head_per_model() -> None:
    rows = make_rows(60, 3, 0)
    full = FactorHeads(3, 10.0).fit(rows).predict(rows.features)
    assert full == pytest.approx(LinearHeads(10.0).fit(rows).predict(rows.features))


def make_costs(n: int, seed: int) -> Rows:
    """Rows whose scores are costs in USD: lognormal, and led by the first feature."""
    rows = make_rows(n, 3, seed)
    noise = 0.3 * np.random.default_rng(seed).normal(size=(n, 3))
    return rows.with_scores(np.exp(rows.features[:, :1] + noise) * [1e-4, 1e-3, 5e-2])


def test_cost_heads_keep_the_mean_of_each_model_and_follow_the_request() -> None:
    rows, fresh = make_costs(400, 0), make_costs(400, 1)
    gaps = with_gaps(rows, 0.3, 0)
    for learnt in (rows, gaps):
        fitted = CostHeads().fit(learnt)
        known = np.where(np.isnan(learnt.scores), np.nan, fitted.predict(learnt.features))
        assert np.nanmean(known, axis=0) == pytest.approx(np.nanmean(learnt.scores, axis=0))
        logs = np.log(fitted.predict(fresh.features)), np.log(fresh.scores)
        assert all(np.corrcoef(logs[0][:, m], logs[1][:, m])[0, 1] > 0.9 for m in range(3))


def test_the_mean_is_kept_even_where_predictions_are_cut_off() -> None:
    rows = make_costs(200, 0)
    wide = rows.with_scores(np.exp(8 * rows.features[:, :1]) * [1.0, 2.0, 3.0])
    predicted = CostHeads().fit(replace(wide, features=3 * wide.features)).predict(3 * wide.features)
    assert predicted.mean(axis=0) == pytest.approx(wide.scores.mean(axis=0))


@given(seeds, st.floats(1e-6, 1e6))
@settings(max_examples=10)
def test_costs_follow_their_unit(seed: int, unit: float) -> None:
    rows = make_costs(60, seed)
    other = CostHeads().fit(rows.with_scores(rows.scores * unit)).predict(rows.features)
    assert other == pytest.approx(CostHeads().fit(rows).predict(rows.features) * unit)


def test_a_model_whose_cost_is_not_known_costs_what_all_do_on_average_and_a_free_one_nothing() -> None:
    rows = make_costs(200, 0)
    rows.scores[:, 1], rows.scores[:, 2] = np.nan, 0.0
    predicted = CostHeads().fit(rows).predict(rows.features)
    assert predicted[:, 1].mean() == pytest.approx(rows.scores[:, [0, 2]].mean())
    assert (predicted[:, 2] < 1e-290).all()
