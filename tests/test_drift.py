"""Drift: a shift is seen and named, chance is not, and what cannot be known moves nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.drift import LEVELS, Reference, drift, reference_of
from pinnace.router.evidence import FEATURES, Evidence


def answers(n: int, seed: int, shift: float = 0.0, finished: float = 0.9) -> list[Evidence]:
    random = np.random.default_rng(seed)
    return [
        Evidence(
            mean=float(mean - shift),
            minimum=-3.0,
            lowest_window=-1.0,
            first=float(mean),
            margin_mean=2.0,
            margin_minimum=0.0,
            length=float(length),
            finished=float(done),
        )
        for mean, length, done in zip(
            random.normal(-1, 0.3, n), random.integers(1, 20, n), random.random(n) < finished, strict=True
        )
    ]


FITTED = reference_of(answers(2000, seed=0))


@pytest.mark.parametrize("seed", range(1, 11))
def test_more_of_the_same_has_not_moved(seed: int) -> None:
    assert drift(answers(500, seed), FITTED).moved == ()


def test_what_moved_is_named_furthest_first() -> None:
    found = drift(answers(500, 1, shift=0.3, finished=0.6), FITTED)
    assert found.moved == ("mean", "finished")
    mean = found.features[0]
    assert (mean.feature, found.live_rows, found.fitted_rows) == ("mean", 500, 2000)
    assert mean.live_median == pytest.approx(-1.3, abs=0.05)
    assert mean.fitted_median == pytest.approx(-1.0, abs=0.05)


def test_a_feature_that_was_constant_and_varies_now_has_moved() -> None:
    live = [replace(each, agreement=1 / 3) for each in answers(200, 1)]
    assert drift(live, FITTED).moved == ("agreement",)


def test_a_few_answers_prove_little() -> None:
    assert drift(answers(5, 1, shift=0.2), FITTED).moved == ()


def test_without_answers_nothing_has_moved() -> None:
    found = drift([], FITTED)
    assert (found.moved, found.live_rows) == ((), 0)
    assert np.isnan(found.features[0].live_median)


def test_features_that_the_reference_does_not_know_are_passed_over() -> None:
    old = Reference(FITTED.rows, {name: FITTED.quantiles[name] for name in FEATURES[:8]})
    assert [each.feature for each in drift(answers(50, 1), old).features] == list(FEATURES[:8])


def test_the_bound_is_that_of_the_ks_distribution() -> None:
    found = drift(answers(400, 1), FITTED)
    risk = 0.01 / len(FEATURES)
    expected = np.sqrt(-np.log(risk / 2) / 2 * (1 / 400 + 1 / 2000))
    assert found.features[0].bound == pytest.approx(float(expected))


@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 300))
def test_the_distance_is_at_most_the_two_sample_one_and_near_it(seed: int, live: int, fitted: int) -> None:
    random = np.random.default_rng(seed)
    now = [replace(each, mean=float(random.integers(-9, 0))) for each in answers(live, seed)]
    then = [replace(each, mean=float(random.normal(-5, 2))) for each in answers(fitted, seed + 1)]
    found = drift(now, reference_of(then)).features[0].distance
    at = np.sort([each.mean for each in (*now, *then)])
    shares = [
        np.searchsorted(np.sort([each.mean for each in some]), at, side="right") / len(some)
        for some in (now, then)
    ]
    exact = float(np.abs(shares[0] - shares[1]).max())
    step = 1 / (LEVELS - 1) + 1 / fitted
    assert exact - 2 * step - 1e-9 <= found <= exact + 1 / fitted + 1e-9
