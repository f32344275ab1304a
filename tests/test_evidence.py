"""Evidence: features worked out by hand, at both ends of what an engine may say."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import token

from pinnace.models.completion import FinishReason, TokenLogprob
from pinnace.router.evidence import FEATURES, FLOOR, LOGPROBS, Evidence, evidence_from, evidence_of

INF = math.inf


def test_features_are_those_worked_out_by_hand() -> None:
    tokens = [token("a", -0.5, -1.5), token("b", -2.0, -2.25), token("c", -0.5, -4.5)]
    assert evidence_of(tokens, "stop") == Evidence(
        mean=-1.0,
        minimum=-2.0,
        lowest_window=-1.0,
        first=-0.5,
        margin_mean=pytest.approx((1.0 + 0.25 + 4.0) / 3),
        margin_minimum=0.25,
        length=pytest.approx(math.log(4)),
        finished=1.0,
    )


def test_the_lowest_window_is_the_least_likely_run_of_eight() -> None:
    logprobs = [0.0] * 5 + [-1.0] * 4 + [-3.0] * 4 + [0.0] * 10
    evidence = evidence_of([token("x", logprob) for logprob in logprobs], None)
    assert evidence is not None
    assert evidence.lowest_window == pytest.approx(-(4 * 1 + 4 * 3) / 8)
    assert evidence.minimum == -3.0


def test_the_lowest_window_can_be_the_last() -> None:
    evidence = evidence_of([token("x", logprob) for logprob in [0.0] * 20 + [-8.0]], None)
    assert evidence is not None
    assert evidence.lowest_window == pytest.approx(-1.0)


def test_of_one_token_everything_is_that_token() -> None:
    evidence = evidence_of([token("Yes", -0.25, -1.25)], "stop")
    assert evidence == Evidence(-0.25, -0.25, -0.25, -0.25, 1.0, 1.0, pytest.approx(math.log(2)), 1.0)


@pytest.mark.parametrize("impossible", [-INF, -9999.0, math.nan])
def test_what_could_not_come_is_floored(impossible: float) -> None:
    evidence = evidence_of([token("a", impossible, -0.1), token("b", -1.0, impossible)], None)
    assert evidence == Evidence(
        mean=-10.5,
        minimum=FLOOR,
        lowest_window=-10.5,
        first=FLOOR,
        margin_mean=pytest.approx(19.0 / 2),
        margin_minimum=0.0,
        length=pytest.approx(math.log(3)),
        finished=0.0,
    )


@pytest.mark.parametrize("top", [(), (("a", -0.1),)])
def test_without_a_runner_up_there_is_no_margin(top: tuple[tuple[str, float], ...]) -> None:
    evidence = evidence_of([TokenLogprob("a", -0.1, top)], None)
    assert evidence is not None
    assert (evidence.margin_mean, evidence.margin_minimum) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("reason", "finished"),
    [("stop", 1.0), ("tool_calls", 1.0), ("length", 0.0), ("content_filter", 0.0), (None, 0.0)],
)
def test_finished_is_having_stopped_by_itself(reason: FinishReason | None, finished: float) -> None:
    evidence = evidence_of([token("a")], reason)
    assert evidence is not None
    assert evidence.finished == finished


def test_without_tokens_there_is_no_evidence() -> None:
    assert evidence_of([], "stop") is None


def test_the_features_have_names_in_a_fixed_order() -> None:
    evidence = Evidence(*range(len(FEATURES)))
    assert tuple(evidence.as_dict()) == FEATURES
    assert list(evidence.as_dict().values()) == list(range(len(FEATURES)))


def test_what_was_written_down_is_read_back() -> None:
    evidence = evidence_of([token("a", -0.5, -1.5)], "stop", agreement=0.6, valid=0.0)
    assert evidence is not None
    assert evidence_from(json.loads(json.dumps(evidence.as_dict()))) == evidence


def test_older_tables_lack_the_later_features_and_get_what_says_nothing() -> None:
    old = dict.fromkeys(LOGPROBS, -1.0)
    assert FEATURES[:8] == LOGPROBS
    assert evidence_from(old | {"completion_tokens": 3}) == Evidence(*[-1.0] * 8, agreement=1.0, valid=1.0)


@pytest.mark.parametrize("wrong", [None, "low", math.nan, -math.inf])
@pytest.mark.parametrize("name", ["mean", "agreement"])
def test_a_feature_that_is_no_finite_number_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match="expected finite numbers for mean, minimum"):
        evidence_from(Evidence(*[-1.0] * 8).as_dict() | {name: wrong})


def test_a_feature_that_every_table_has_must_not_be_missing() -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        evidence_from(dict.fromkeys(LOGPROBS[1:], -1.0))


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats()), min_size=1, max_size=40))
def test_whatever_an_engine_says_the_features_are_bounded(rows: list[tuple[float, float, float]]) -> None:
    evidence = evidence_of([TokenLogprob("x", a, (("x", b), ("y", c))) for a, b, c in rows], None)
    assert evidence is not None
    slack = 1e-9
    assert FLOOR <= evidence.minimum <= evidence.lowest_window + slack <= 2 * slack
    assert evidence.minimum - slack <= evidence.mean <= 0
    assert evidence.minimum <= evidence.first <= 0
    assert 0 <= evidence.margin_minimum <= evidence.margin_mean + slack <= -FLOOR + slack


def test_tokens_that_a_grammar_forced_tell_nothing_but_the_length() -> None:
    free = TokenLogprob("a", -0.5, (("a", -0.5), ("b", -1.5)))
    forced = TokenLogprob('{"', 0.0, (('{"', 0.0), ("b", float("-inf"))))
    alone, among = evidence_of([free], "stop"), evidence_of([forced, free, forced], "stop")
    assert alone is not None
    assert among is not None
    assert {**among.as_dict(), "length": 0} == {**alone.as_dict(), "length": 0}
    assert among.length == pytest.approx(math.log(4))
    assert evidence_of([forced], "stop") is not None
