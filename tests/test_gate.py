"""The gate: logistic models by stage and member, and sound at both ends."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from router_fixtures import logistic_on

from pinnace.router.calibration import Isotonic, Platt, sigmoid
from pinnace.router.drift import reference_of
from pinnace.router.evidence import LOGPROBS, Evidence
from pinnace.router.gate import ClusterTerms, Gate, Logistic, features_of, log_odds

EVIDENCE = Evidence(-0.5, -2.0, -1.0, -0.1, 1.5, 0.25, 2.0, 1.0)


def judged(gate: Gate, model: str = "small", *, is_whole: bool = True, prior: float = 0.5) -> float:
    return gate.judge(model, EVIDENCE, prior=prior, is_whole=is_whole)


def test_probability_is_that_worked_out_by_hand() -> None:
    logistic = Logistic((1.0, 0.0), (2.0, 1.0), (3.0, -1.0), 0.5)
    assert logistic.probability([2.0, 1.0]) == pytest.approx(1 / (1 + math.exp(-(0.5 + 3 * 0.5 - 1))))


def test_a_row_of_another_width_is_a_bug() -> None:
    with pytest.raises(ValueError, match="argument"):
        Logistic((1.0, 0.0), (1.0, 1.0), (1.0, 1.0), 0.0).probability([1.0])


def test_the_row_holds_the_evidence_then_the_prior_then_their_products() -> None:
    row = features_of(EVIDENCE, 0.8)
    values, odds = [-0.5, -2.0, -1.0, -0.1, 1.5, 0.25, 2.0, 1.0], math.log(4)
    assert row == pytest.approx([*values, odds, *(value * odds for value in values)])


def test_the_row_holds_only_the_features_that_are_named() -> None:
    odds = math.log(4)
    assert features_of(EVIDENCE, 0.8, ("agreement", "mean")) == pytest.approx(
        [1, -0.5, odds, odds, -0.5 * odds]
    )


def test_each_stage_and_each_model_has_its_own() -> None:
    gate = Gate({"small": logistic_on("mean", 2.0, 0.0)}, {"small": logistic_on("mean", 4.0, 0.0)})
    assert judged(gate) == pytest.approx(sigmoid(-1.0))
    assert judged(gate, is_whole=False) == pytest.approx(sigmoid(-2.0))


def test_a_model_without_one_keeps_the_prior() -> None:
    gate = Gate({"small": logistic_on("mean", 2.0, 0.0)}, {})
    assert judged(gate, "other", prior=0.3) == 0.3
    assert judged(gate, "small", is_whole=False, prior=0.3) == 0.3


def test_an_answer_that_breaks_the_form_is_not_right_whatever_its_tokens_say() -> None:
    gate = Gate({"small": logistic_on("mean", 2.0, 0.0)}, {})
    broken = replace(EVIDENCE, valid=0.0)
    assert gate.judge("small", broken, prior=0.9, is_whole=True) == 0.0
    assert gate.judge("other", broken, prior=0.9, is_whole=True) == 0.0


def test_the_clusters_terms_are_blended_by_their_weights() -> None:
    terms = ClusterTerms((1.0, -1.0), (0,), ((0.5,), (2.0,)))
    logistic = Logistic((1.0, 0.0), (2.0, 1.0), (3.0, -1.0), 0.5, ("mean",), terms)
    row = [2.0, 1.0]  # standardised: 0.5 and 1
    alone = 0.5 + 3 * 0.5 - 1
    assert logistic.log_odds(row) == pytest.approx(alone)
    assert logistic.log_odds(row, {0: 1.0}) == pytest.approx(alone + 1 + 0.5 * 0.5)
    blended = alone + 0.25 * (1 + 0.5 * 0.5) + 0.75 * (-1 + 2 * 0.5)
    assert logistic.log_odds(row, {0: 0.25, 1: 0.75}) == pytest.approx(blended)


@pytest.mark.parametrize("curve", [Platt(0.5, 1.0), Isotonic((-1.0, 1.0), (0.2, 0.6))])
def test_the_curve_has_the_last_word(curve: Platt | Isotonic) -> None:
    logistic = Logistic((0.0,), (1.0,), (1.0,), 0.0, ("mean",), curve=curve)
    assert logistic.probability([0.25]) == curve.probability(0.25)


@pytest.mark.parametrize("curve", [None, Platt(0.5, 1.0), Isotonic((-1.0, 1.0), (0.2, 0.6))])
def test_it_comes_back_from_json(curve: Platt | Isotonic | None) -> None:
    terms = ClusterTerms((1.0, -1.0), (0,), ((0.5,), (2.0,)))
    logistic = Logistic((0.0,), (1.0,), (1.0,), 0.0, ("mean", "agreement"), terms, curve)
    gate = Gate({"small": logistic}, {}, {"small": {"whole": reference_of([EVIDENCE])}})
    adapter = TypeAdapter(Gate)
    assert adapter.validate_json(adapter.dump_json(gate)) == gate


def test_one_that_was_written_before_there_were_clusters_and_curves_still_judges() -> None:
    width = 2 * len(LOGPROBS) + 1
    old = {"centre": [0.0] * width, "scale": [1.0] * width, "coefficients": [0.1] * width, "intercept": 0.5}
    gate = TypeAdapter(Gate).validate_python({"whole": {"small": old}, "prefix": {}})
    expected = sigmoid(0.5 + 0.1 * sum(features_of(EVIDENCE, 0.8)))
    found = gate.judge("small", EVIDENCE, prior=0.8, is_whole=True, clusters={0: 1.0})
    assert found == pytest.approx(expected)


def test_only_a_model_with_a_calibration_of_its_own_can_be_judged() -> None:
    gate = Gate({"small": logistic_on("mean", 1, 0)}, {})
    assert gate.can_judge("small")
    assert not gate.can_judge("large")


@pytest.mark.parametrize(("probability", "expected"), [(0.5, 0.0), (0.8, math.log(4)), (0.2, -math.log(4))])
def test_log_odds(probability: float, expected: float) -> None:
    assert log_odds(probability) == pytest.approx(expected)


@given(st.floats(0, 1))
def test_log_odds_are_bounded_and_undone_by_the_sigmoid(probability: float) -> None:
    assert abs(log_odds(probability)) <= math.log(99) + 1e-9
    assert sigmoid(log_odds(probability)) == pytest.approx(min(max(probability, 0.01), 0.99))
