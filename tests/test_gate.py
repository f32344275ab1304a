"""The gate: logistic models by stage and member, and sound at both ends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import logistic_on

from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.gate import Gate, Logistic, features_of, log_odds, sigmoid

EVIDENCE = Evidence(-0.5, -2.0, -1.0, -0.1, 1.5, 0.25, 2.0, 1.0)


def judged(gate: Gate, model: str = "small", *, is_whole: bool = True, prior: float = 0.5) -> float:
    return gate.judge(model, EVIDENCE, prior=prior, is_whole=is_whole)


def test_probability_is_that_worked_out_by_hand() -> None:
    logistic = Logistic((1.0, 0.0), (2.0, 1.0), (3.0, -1.0), 0.5)
    assert logistic.probability([2.0, 1.0]) == pytest.approx(1 / (1 + math.exp(-(0.5 + 3 * 0.5 - 1))))


def test_a_row_of_another_width_is_a_bug() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Logistic((1.0, 0.0), (1.0, 1.0), (1.0, 1.0), 0.0).probability([1.0])


def test_the_row_holds_the_evidence_then_the_prior_then_their_products() -> None:
    row = features_of(EVIDENCE, 0.8)
    values, odds = list(EVIDENCE.as_dict().values()), math.log(4)
    assert row[: len(FEATURES)] == values
    assert row[len(FEATURES)] == pytest.approx(odds)
    assert row[len(FEATURES) + 1 :] == pytest.approx([value * odds for value in values])


def test_each_stage_and_each_model_has_its_own() -> None:
    gate = Gate({"small": logistic_on("mean", 2.0, 0.0)}, {"small": logistic_on("mean", 4.0, 0.0)})
    assert judged(gate) == pytest.approx(sigmoid(-1.0))
    assert judged(gate, is_whole=False) == pytest.approx(sigmoid(-2.0))


def test_a_model_without_one_keeps_the_prior() -> None:
    gate = Gate({"small": logistic_on("mean", 2.0, 0.0)}, {})
    assert judged(gate, "other", prior=0.3) == 0.3
    assert judged(gate, "small", is_whole=False, prior=0.3) == 0.3


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


@given(st.floats(allow_nan=False))
def test_the_sigmoid_is_sound_at_both_ends(value: float) -> None:
    assert 0 <= sigmoid(value) <= 1
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1)
