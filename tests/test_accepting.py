"""A request's own bar: which bars it stands in for, and where it makes a choice that the policy left out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import RequestError
from pinnace.router.accepting import accepting
from pinnace.router.route import ModelEstimate, Route, Rung


def estimate(model: str, usd: float, quality: float = 0.5, struck_out: str | None = None) -> ModelEstimate:
    return ModelEstimate(model, quality, 0.1, usd, struck_out)


FLEET = (estimate("small", 1), estimate("middle", 5), estimate("large", 100))
CASCADE = Route((Rung("small", 0.6), Rung("middle", 0.7), Rung("large")), "cascade", "why", estimates=FLEET)
SINGLE = Route(
    (Rung("small"), Rung("middle", is_fallback=True), Rung("large", is_fallback=True)),
    "single",
    "why",
    estimates=FLEET,
)


def test_every_bar_of_a_cascade_is_the_requests_own() -> None:
    route = accepting(CASCADE, 0.9)
    assert route.rungs == (Rung("small", 0.9), Rung("middle", 0.9), Rung("large"))
    assert (route.strategy, route.estimates) == ("cascade", FLEET)
    assert route.why == "small first; the request takes answers from a confidence of 0.90 on"


def test_behind_a_model_that_was_to_answer_alone_comes_the_dearest() -> None:
    route = accepting(SINGLE, 0.9)
    assert route.rungs == (Rung("small", 0.9), Rung("large"), Rung("middle", is_fallback=True))
    assert route.strategy == "cascade"


def test_a_direct_route_to_the_middle_can_climb_as_well() -> None:
    direct = replace(SINGLE, rungs=(Rung("middle"), Rung("large", is_fallback=True)), strategy="direct")
    assert accepting(direct, 1.0).rungs == (Rung("middle", 1.0), Rung("large"))


def test_fallbacks_have_no_bar() -> None:
    rungs = (Rung("small", 0.6), Rung("large"), Rung("middle", is_fallback=True))
    route = accepting(replace(CASCADE, rungs=rungs), 0.0)
    assert route.rungs == (Rung("small", 0.0), Rung("large"), Rung("middle", is_fallback=True))


def test_what_is_explored_is_still_told_from_what_is_not() -> None:
    assert accepting(replace(CASCADE, strategy="explored"), 0.9).strategy == "explored"


@pytest.mark.parametrize(
    ("rungs", "estimates"),
    [
        ((Rung("large"), Rung("small", is_fallback=True)), FLEET),
        ((Rung("small"),), (estimate("small", 1),)),
        ((Rung("small"),), (estimate("small", 1), estimate("large", 100, struck_out="cannot call tools"))),
        ((Rung("small"),), (estimate("small", 1, 0.4), estimate("other", 1, 0.9))),
        ((Rung("small"),), ()),
    ],
    ids=["the dearest", "the only one", "the only capable one", "equally dear", "nothing known"],
)
def test_a_route_without_a_choice_stays_as_it_is(
    rungs: tuple[Rung, ...], estimates: tuple[ModelEstimate, ...]
) -> None:
    route = replace(SINGLE, rungs=rungs, estimates=estimates)
    assert accepting(route, 1.0) is route


def test_of_equally_dear_models_the_best_comes_behind() -> None:
    estimates = (estimate("small", 1), estimate("a", 9, 0.7), estimate("b", 9, 0.8), estimate("c", 9, 0.6))
    assert accepting(replace(SINGLE, rungs=(Rung("small"),), estimates=estimates), 0.5).rungs[1] == Rung("b")


@pytest.mark.parametrize("accept", [-0.1, 1.01, float("nan"), float("inf")])
def test_what_is_no_confidence_is_refused(accept: float) -> None:
    with pytest.raises(RequestError, match="accept: expected a confidence from 0 to 1, got") as caught:
        accepting(CASCADE, accept)
    assert (caught.value.param, caught.value.code) == ("accept", "invalid_value")


@given(
    bars=st.lists(st.floats(0, 1), max_size=2),
    strategy=st.sampled_from(["single", "cascade", "direct", "explored"]),
    accept=st.floats(0, 1),
)
def test_no_model_is_lost_and_the_last_rung_of_the_ladder_has_no_bar(
    bars: list[float], strategy: str, accept: float
) -> None:
    names = [each.model for each in FLEET]
    ladder = [Rung(name, bar) for name, bar in zip(names, bars, strict=False)] + [Rung(names[len(bars)])]
    rest = [Rung(name, is_fallback=True) for name in names[len(bars) + 1 :]]
    found = accepting(Route((*ladder, *rest), strategy, "why", estimates=FLEET), accept).rungs
    assert sorted(rung.model for rung in found) == sorted(names)
    climbed = [rung for rung in found if not rung.is_fallback]
    assert climbed[0].model == ladder[0].model
    assert [rung.bar for rung in climbed] == [accept] * (len(climbed) - 1) + [None]
