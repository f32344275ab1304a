"""Forecasts: spreads that agree with the estimate, and what strange requests and unknown models get."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import ASKED, small_state
from test_router import LARGE, SMALL, card

from pinnace.router.clusters import Clusters
from pinnace.router.forecast import OFF_THE_ENDS, UNKNOWN_SD, Forecaster, centred
from pinnace.router.known import Known
from pinnace.router.state import RouterState

chances = st.floats(0, 1)


def forecaster_of(state: RouterState) -> Forecaster:
    return Forecaster(state, Known(state))


def features_of(state: RouterState, *vectors: list[float]) -> np.ndarray:
    return state.expectation.see(["x"] * len(vectors), np.array(vectors))


@given(st.lists(chances, min_size=1, max_size=21), chances)
def test_a_spread_is_moved_until_its_mean_is_the_estimate(spread: list[float], quality: float) -> None:
    moved = centred(np.array(spread)[None, None], np.array([[quality]]))[0, 0]
    assert moved.mean() == pytest.approx(np.clip(quality, OFF_THE_ENDS, 1 - OFF_THE_ENDS), abs=2e-3)
    order = np.argsort(spread, kind="stable")
    assert (np.diff(moved[order]) >= -1e-12).all()


def test_a_spread_that_agrees_already_stays_and_one_that_is_not_known_too() -> None:
    spread = np.array([[[0.2, 0.4, 0.6], [np.nan] * 3]])
    moved = centred(spread, np.array([[0.4, 0.9]]))
    np.testing.assert_allclose(moved[0, 0], spread[0, 0], atol=1e-6)
    assert np.isnan(moved[0, 1]).all()


def test_the_gate_is_hoped_for_what_is_estimated_and_not_what_the_cluster_does() -> None:
    """A borrowed spread once left the ladder's worth at the cluster's mean, however low the estimate."""
    state = small_state()
    found = forecaster_of(state).forecast(features_of(state, [0.0, 1.0]), [ASKED], [SMALL, LARGE])
    assert state.confidences[1, 0].mean() == pytest.approx(0.8, abs=0.01)
    heads = replace(state.expectation.heads, intercepts=np.array([-0.4, 0.0]))
    lower = replace(state, expectation=replace(state.expectation, heads=heads))
    less = forecaster_of(lower).forecast(features_of(lower, [0.0, 1.0]), [ASKED], [SMALL, LARGE])
    assert found.spreads[0, 0].mean() == pytest.approx(0.8, abs=1e-3)
    assert less.spreads[0, 0].mean() == pytest.approx(0.4, abs=1e-3)
    assert np.isnan(less.spreads[0, 1]).all()


def test_a_strange_request_has_each_models_mean_and_the_gain_over_all() -> None:
    state = small_state()
    strange = replace(state, clusters=Clusters(np.eye(2), state.clusters.labels, (0.8, 0.9)))
    features = features_of(strange, [0.6, 0.6])
    forecaster = forecaster_of(strange)
    found = forecaster.forecast(features, [ASKED], [SMALL, LARGE])
    assert found.quality[0] == pytest.approx([0.5, 0.96])
    assert found.gains[0, 0, 1, 0] == pytest.approx(0.46)
    assert forecaster.sd(features, found.familiarity, [SMALL])[0, 0] == pytest.approx(UNKNOWN_SD)


def test_no_dearer_model_is_no_reason_to_climb() -> None:
    state = small_state()
    forecaster, features = forecaster_of(state), features_of(state, [0.0, 1.0])
    worth = forecaster.forecast(features, [ASKED], [SMALL, LARGE]).is_worth_climbing()
    np.testing.assert_array_equal(worth, [[True, False]])
    short = card("large", 100, context_window=1)
    unable = forecaster.forecast(features, [ASKED], [SMALL, short]).is_worth_climbing()
    assert not unable.any()


def test_a_model_that_votes_costs_all_its_votes_where_it_votes() -> None:
    state = small_state()
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    calling = replace(ASKED, tools=(tool,), max_tokens=1000)
    asked = [ASKED, calling, replace(calling, temperature=0.7), replace(calling, n=2, temperature=0.7)]
    voting = replace(SMALL, votes=4)
    features = features_of(state, *[[0.0, 1.0]] * len(asked))
    one, votes = (
        forecaster_of(state).forecast(features, asked, [each, LARGE]).usd[:, 0] for each in (SMALL, voting)
    )
    free, four = replace(voting, input_price=0.0), replace(SMALL, input_price=0.0)
    written = [
        forecaster_of(state).forecast(features, asked, [each, LARGE]).usd[:, 0] for each in (four, free)
    ]
    assert votes[:2] == pytest.approx(one[:2])  # a state learnt what all votes write
    tokens = written[0][1] * 1e6 / SMALL.output_price
    assert written[1][2:] * 1e6 / SMALL.output_price == pytest.approx([tokens / 4, tokens / 2], abs=1)
    cut = [replace(calling, max_tokens=2)]
    (less,) = forecaster_of(state).forecast(features[:1], cut, [free, LARGE]).usd[:, 0]
    assert less * 1e6 == pytest.approx(4 * 2 * SMALL.output_price)
