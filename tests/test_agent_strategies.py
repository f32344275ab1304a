"""Votes, best of n, plans and thinking at the beginning, on the scripted fleet."""

import math
from typing import Any

import pytest
from pydantic import BaseModel
from session_fixtures import BAD, GOOD, Ticket

from pinnace.agents.best_of import best_of
from pinnace.agents.planning import plan_and_solve
from pinnace.agents.scripted_fleet import LARGE, SMALL, Say, ScriptedFleet
from pinnace.agents.step import Step
from pinnace.agents.thinking import think_at
from pinnace.agents.voting import vote
from pinnace.errors import OutputError, StepError
from pinnace.models.completion import is_begun


async def test_a_vote_below_the_bar_climbs() -> None:
    fleet = ScriptedFleet(Say(["4", "5", "6", "4"]), Say(["5", "5", "5", "4"], model=LARGE.name))
    step = Step("Add.", strategy=vote(4), accept=0.6, name="add")
    async with fleet.session() as run:
        answer = await run.answer(step, "2 + 3")
    assert (answer.value, answer.confidence, answer.rungs) == ("5", 0.75, 2)


async def test_votes_count_what_the_key_says_and_go_out_as_one_request() -> None:
    fleet = ScriptedFleet(Say(["It is 4.", "4", "Five", "4!"]))
    step = Step("Add.", strategy=vote(4, key=lambda text: "4" in text))
    async with fleet.session() as run:
        assert await run.ask(step, "2 + 2") == "It is 4."
    assert [request.n for request in fleet.requests] == [4]


async def test_answers_of_the_wrong_type_are_no_votes() -> None:
    fleet = ScriptedFleet(Say([BAD, GOOD, "nothing", BAD]))
    async with fleet.session() as run:
        answer = await run.answer(Step("Read.", output=Ticket, strategy=vote(4)), "I lost my card!")
    assert (answer.value.urgency, answer.confidence) == (4, 0.25)


async def test_best_of_takes_the_highest_score() -> None:
    fleet = ScriptedFleet(Say(["aa", "a", "aaaa"]), Say(["aa", "a", "aaaa"]))

    async def length(drawn: object) -> float:
        return len(str(getattr(drawn, "value", "")))

    async with fleet.session() as run:
        assert await run.ask(Step(strategy=best_of(3, length)), "say a") == "aaaa"
        assert await run.ask(Step(strategy=best_of(3, lambda drawn: -len(drawn.value))), "say a") == "a"


async def test_plan_and_solve_asks_the_questions_side_by_side() -> None:
    fleet = ScriptedFleet(
        Say('{"answer": ["How old is he?", "Where is he?", "Why?"]}', when="Tell me"),
        Say("Nine.", when="How old", seconds=0.05),
        Say("Here.", when="Where", seconds=0.05),
        Say("A nine year old who is here.", when="A: Here."),
    )
    pipeline = plan_and_solve(
        Step("Plan.", output=list[str], name="plan"), Step("Solve."), Step("Write."), most=2
    )
    async with fleet.session() as run:
        assert await pipeline(run, "Tell me of him.") == "A nine year old who is here."
    assert (
        fleet.requests[-1].text()
        == "Tell me of him.\n\nQ: How old is he?\nA: Nine.\n\nQ: Where is he?\nA: Here."
    )
    solving = [span for span in run.trace.spans() if span.kind == "call"][1:3]
    assert solving[1].began < solving[0].began + solving[0].seconds
    fleet.assert_done()


def test_a_planner_that_gives_no_list_is_refused() -> None:
    with pytest.raises(StepError, match=r"output=list\[str\]"):
        plan_and_solve(Step("Plan."), Step(), Step())  # type: ignore[arg-type]


async def test_the_better_beginnings_are_finished_and_vote() -> None:
    fleet = ScriptedFleet(
        Say(["a b", "c d", "e f", "g h"], cut=True),
        Say(" so 4", when="c d"),
        Say(" so 4", when="g h"),
        Say(" so 5", when="e f"),
    )

    def promising(beginnings: object) -> list[float]:
        return [0, 3, 1, 2]

    step = Step("Think.", strategy=think_at(4, 2, 3, promising, key=lambda text: text[-1]))
    async with fleet.session() as run:
        answer = await run.answer(step, "2 + 2")
    assert answer.value == "c d so 4"
    assert answer.confidence == pytest.approx(2 / 3)
    assert [request.n for request in fleet.requests] == [4, 1, 1, 1]
    assert fleet.requests[0].max_tokens == 2
    assert {request.messages[-1].content for request in fleet.requests[1:]} == {"c d", "e f", "g h"}
    assert all(is_begun(request.messages) for request in fleet.requests[1:])
    assert fleet.models == ["auto", SMALL.name, SMALL.name, SMALL.name]
    fleet.assert_done()


async def test_an_answer_that_ended_early_is_not_gone_on_with() -> None:
    fleet = ScriptedFleet(Say(["4.", "4.", "5."]))
    async with fleet.session() as run:
        assert await run.ask(Step(strategy=think_at(3, 8, 2)), "2 + 2") == "4."
    fleet.assert_done()


@pytest.mark.parametrize("sizes", [(4, 8, 4), (4, 8, 0), (4, 0, 2)])
def test_thinking_that_keeps_all_or_none_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(StepError, match="keep < n"):
        think_at(*sizes)


async def test_only_free_text_can_be_gone_on_with() -> None:
    fleet = ScriptedFleet(Say(["a", "b", "c"], cut=True))
    async with fleet.session() as run:
        with pytest.raises(StepError, match="only free text"):
            await run.ask(Step("Read.", output=Ticket, strategy=think_at(3, 1, 2)), "?")


class Frozen(BaseModel, frozen=True):
    """Hashable by its class, and not by its value."""

    parts: list[int]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (tuple[list[int], int], '{"answer": [[1], 2]}', ([1], 2)),
        (Frozen, '{"parts": [1]}', Frozen(parts=[1])),
        (list[int], '{"answer": [1]}', [1]),
    ],
)
async def test_values_that_cannot_be_hashed_are_votes(kind: Any, text: str, value: object) -> None:
    fleet = ScriptedFleet(Say([text, text]))
    async with fleet.session() as run:
        answer = await run.answer(Step(output=kind, strategy=vote(2)), "?")
    assert (answer.value, answer.confidence) == (value, 1.0)


async def test_a_key_that_equals_nothing_is_a_vote_like_others() -> None:
    fleet = ScriptedFleet(Say(["a", "b"]))
    async with fleet.session() as run:
        assert await run.ask(Step(strategy=vote(2, key=lambda _: math.nan)), "?") in ("a", "b")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_numbers_that_json_has_not_are_no_answer(number: str) -> None:
    fleet = ScriptedFleet(Say(f'{{"answer": {number}}}', times=None), members=[SMALL])
    async with fleet.session() as run:
        with pytest.raises(OutputError, match="expected numbers that JSON has"):
            await run.ask(Step(output=float), "?")
        with pytest.raises(OutputError):
            await run.ask(Step(output=float, strategy=vote(2)), "?")


async def test_a_score_of_nan_is_below_everything() -> None:
    fleet = ScriptedFleet(Say(["a", "b", "c"]))
    scores = {"a": math.nan, "b": 1.0, "c": math.nan}
    async with fleet.session() as run:
        step = Step(strategy=best_of(3, lambda drawn: scores[drawn.sample.text]))
        assert await run.ask(step, "?") == "b"


async def test_a_beginning_is_no_longer_than_the_answer_may_be() -> None:
    fleet = ScriptedFleet(Say(["a", "b", "c"]))
    async with fleet.session() as run:
        await run.ask(Step(strategy=think_at(3, 100, 2), max_tokens=5), "?")
    assert fleet.requests[0].max_tokens == 5


async def test_a_ranking_has_a_rank_of_each() -> None:
    fleet = ScriptedFleet(Say(["a", "b", "c"]))
    async with fleet.session() as run:
        with pytest.raises(StepError, match="a rank of each of 3 beginnings, got 1"):
            await run.ask(Step(strategy=think_at(3, 8, 2, lambda _: [1.0])), "?")


def test_a_plan_without_questions_is_refused() -> None:
    with pytest.raises(StepError, match="most of at least 1, got -1"):
        plan_and_solve(Step(output=list[str]), Step(), Step(), most=-1)
