"""Expectations: what the fitted heads say, with and without a fold, and how sure they are."""

from collections.abc import Generator

import numpy as np
import pytest
from router_fixtures import QUALITY, linear_expectation
from test_fit import EMBEDDER, table_of
from threadpoolctl import threadpool_limits

from pinnace.router.estimators.features import look
from pinnace.router.estimators.request import RequestEstimator
from pinnace.router.expectation import expectation_of, rounded
from pinnace.router.expectation_fit import ExpectationFit, fit_expectation

TABLE = table_of(400)
SEEN = look(TABLE.prompts, EMBEDDER.embed(TABLE.prompts))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Generator[None, None, None]:
    """As `fit_state` has it: small sums are slow on many threads."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def fitted() -> ExpectationFit:
    return fit_expectation(SEEN, TABLE.scores, TABLE.tasks, TABLE.prompts, TABLE.models)


def test_it_says_what_the_estimator_says(fitted: ExpectationFit) -> None:
    unknown = np.full_like(TABLE.scores, np.nan)
    estimator = RequestEstimator(48).fit(SEEN, TABLE.scores, unknown, TABLE.tasks, TABLE.prompts)
    expected, found = estimator.estimate(SEEN), fitted.expectation
    features = found.see(TABLE.prompts, SEEN.vectors)
    np.testing.assert_allclose(found.quality(features), expected.quality, atol=1e-3)
    np.testing.assert_allclose(found.sd(features), expected.sd, atol=1e-3)
    np.testing.assert_allclose(fitted.held_out, np.clip(estimator.stack_.held_out_, 0, 1))


def test_each_fold_is_estimated_by_heads_that_have_not_seen_it(fitted: ExpectationFit) -> None:
    features = fitted.expectation.see(TABLE.prompts, SEEN.vectors)
    fold = np.flatnonzero((fitted.by_fold == fitted.expectation.folds[0].predict(features)).all(axis=1))
    assert 40 < len(fold) < 120
    scores = TABLE.scores.copy()
    scores[fold] = 1 - scores[fold]
    again = fit_expectation(SEEN, scores, TABLE.tasks, TABLE.prompts, TABLE.models)
    np.testing.assert_array_equal(again.by_fold[fold], fitted.by_fold[fold])
    assert np.abs(again.expectation.quality(features) - fitted.expectation.quality(features)).max() > 0.05


def test_rows_of_one_prompt_are_in_one_fold(fitted: ExpectationFit) -> None:
    prompts = np.array(TABLE.prompts)
    twice = next(p for p in TABLE.prompts if (prompts == p).sum() > 1)
    rows = fitted.by_fold[prompts == twice]
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-12)


def test_a_request_has_the_same_fold_always_and_requests_are_spread_over_them(fitted: ExpectationFit) -> None:
    texts = [f"text {i}" for i in range(500)]
    folds = fitted.expectation.fold_of(texts)
    np.testing.assert_array_equal(folds, fitted.expectation.fold_of(texts))
    assert np.bincount(folds, minlength=5).min() > 70


def test_it_is_less_sure_of_what_is_far_from_its_rows(fitted: ExpectationFit) -> None:
    found = fitted.expectation
    near = found.see(TABLE.prompts[:50], SEEN.vectors[:50])
    assert found.sd(near * 5).mean() > 2 * found.sd(near).mean()


def test_its_arrays_make_it_again_and_have_the_shapes_that_it_says() -> None:
    found = linear_expectation(QUALITY)
    arrays = rounded(found.arrays())
    again = expectation_of(arrays, dim=2, folds=2, rows=100)
    assert {name: array.shape for name, array in arrays.items()} == found.shapes()
    features = again.see(["sum", "capital"], np.eye(2))
    np.testing.assert_allclose(again.quality(features), QUALITY, rtol=1e-6)
    np.testing.assert_allclose(again.quality_by_fold(features, np.array([1, 0])), QUALITY, rtol=1e-6)
