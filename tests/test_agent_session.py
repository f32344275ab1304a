"""Sessions on the scripted fleet: what steps give, when they climb, what they may spend, how they end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from pinnace.agents.answer import Escalated, Final, Text, ToolCalled
from pinnace.agents.best_of import best_of
from pinnace.agents.limits import Limits
from pinnace.agents.planning import plan_and_solve
from pinnace.agents.reply import Member
from pinnace.agents.scripted_fleet import LARGE, SMALL, Say, ScriptedFleet
from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.agents.thinking import think_at
from pinnace.agents.voting import vote
from pinnace.errors import (
    AgentError,
    BackendUnavailableError,
    LimitError,
    NoCapableModelError,
    OutputError,
    StepError,
    ToolFailedError,
)
from pinnace.models.completion import is_begun


class Ticket(BaseModel):
    """What a customer wants."""

    subject: str
    urgency: int = Field(ge=1, le=5)


class Mood(StrEnum):
    """How they are."""

    CALM = "calm"
    CROSS = "cross"


TICKET = Step("Read the ticket.", output=Ticket, name="read")
GOOD = '{"subject": "a lost card", "urgency": 4}'
BAD = '{"subject": "a lost card", "urgency": 9}'


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def test_text_is_given_as_it_is_said() -> None:
    fleet = ScriptedFleet(Say("Paris."))
    async with fleet.session() as run:
        assert await run.ask(Step("Answer."), "The capital of France?") == "Paris."
    (request,) = fleet.requests
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Answer."),
        ("user", "The capital of France?"),
    ]
    assert request.response_format is None
    fleet.assert_done()


async def test_a_type_is_asked_for_by_its_schema_and_read() -> None:
    fleet = ScriptedFleet(Say(GOOD))
    async with fleet.session() as run:
        ticket = await run.ask(TICKET, "I lost my card!")
    assert ticket == Ticket(subject="a lost card", urgency=4)
    schema = (fleet.requests[0].response_format or {})["json_schema"]["schema"]
    assert schema["properties"]["urgency"]["maximum"] == 5


async def test_a_type_that_is_no_object_is_wrapped_and_unwrapped() -> None:
    fleet = ScriptedFleet(Say('{"answer": [1, 2]}'))
    async with fleet.session() as run:
        assert await run.ask(Step("List them.", output=list[int]), "one, two") == [1, 2]


@pytest.mark.parametrize("kind", [Mood, Literal["calm", "cross"]])
async def test_one_of_some_texts_is_asked_for_as_bare_text(kind: Any) -> None:
    """So that a specialist that answers in labels can give it."""
    fleet = ScriptedFleet(Say(" cross\n"))
    async with fleet.session() as run:
        assert await run.ask(Step("Calm or cross?", output=kind), "Hurry up!") == "cross"
    (request,) = fleet.requests
    assert request.response_format == {"type": "choice", "choices": ["calm", "cross"]}
    assert [m.content for m in request.messages] == ["Calm or cross?", "Hurry up!"]


@pytest.mark.parametrize("kind", [Literal[b"a", b"b"], Annotated[Literal["a"], AfterValidator(int)]])
def test_a_type_that_does_not_read_its_own_texts_is_refused(kind: Any) -> None:
    with pytest.raises(StepError, match=r"does not read 'a', which it lists"):
        Step("Choose.", output=kind)


async def test_one_text_alone_is_a_choice_as_well() -> None:
    fleet = ScriptedFleet(Say("done"))
    async with fleet.session() as run:
        assert await run.ask(Step("Say done.", output=Literal["done"]), "?") == "done"  # type: ignore[arg-type]
    assert (fleet.requests[0].response_format or {})["choices"] == ["done"]


async def test_choices_are_no_part_of_the_prompt() -> None:
    labels: Any = Literal[tuple(f"label number {n}" for n in range(300))]  # type: ignore[valid-type]
    fleet = ScriptedFleet(Say("label number 3"))
    async with fleet.session(Limits(tokens=1000)) as run:
        assert await run.ask(Step(output=labels, max_tokens=20), "Which?") == "label number 3"


async def test_a_text_that_is_none_of_them_climbs() -> None:
    fleet = ScriptedFleet(Say("It is cross."), Say("cross", model=LARGE.name))
    async with fleet.session() as run:
        answer = await run.answer(Step("Calm or cross?", output=Mood), "Hurry up!")
    assert (answer.value, answer.rungs) == (Mood.CROSS, 2)
    (first, _) = (span for span in run.trace.spans() if span.kind == "call")
    assert "expected one of 'calm', 'cross', got 'It is cross.'" in first.note


async def test_a_choice_is_told_whole_when_it_streams() -> None:
    """It may still climb, and text is never taken back."""
    fleet = ScriptedFleet(Say("It is cross."), Say("cross", model=LARGE.name))
    async with fleet.session() as run:
        said = [event async for event in run.stream(Step("Calm or cross?", output=Mood), "Hurry up!")]
    assert [each.text for each in said if isinstance(each, Text)] == ["cross"]


@pytest.mark.parametrize(
    "kind",
    [Literal[1, 2], Literal["a", 1], Literal["two\nlines", "b"], Literal[" a", "b"], Literal["x" * 300, "b"]],
)
async def test_other_choices_are_json(kind: Any) -> None:
    format_ = Step("Choose.", output=kind).reads.response_format() or {}
    assert format_["type"] == "json_schema"


async def test_an_answer_of_the_wrong_type_climbs_and_is_not_asked_for_again() -> None:
    fleet = ScriptedFleet(Say(BAD), Say(GOOD, model=LARGE.name))
    async with fleet.session() as run:
        answer = await run.answer(TICKET, "I lost my card!")
    assert answer.value.urgency == 4
    assert (answer.rungs, answer.account.model) == (2, LARGE.name)
    assert fleet.models == ["auto", LARGE.name]
    first, second = (span for span in run.trace.spans() if span.kind == "call")
    assert (first.model, first.accepted, first.rung) == (SMALL.name, False, 0)
    assert (second.model, second.accepted, second.rung) == (LARGE.name, True, 1)
    assert "urgency" in first.note


async def test_where_nothing_is_left_above_the_fault_is_told() -> None:
    fleet = ScriptedFleet(Say(BAD), Say("no json", model=LARGE.name))
    async with fleet.session() as run:
        with pytest.raises(OutputError, match=r"'read'.*scripted-small > scripted-large.*expected JSON"):
            await run.ask(TICKET, "I lost my card!")


async def test_a_model_that_is_named_never_climbs() -> None:
    fleet = ScriptedFleet(Say(BAD))
    step = Step("Read.", output=Ticket, model=SMALL.name)
    async with fleet.session() as run:
        with pytest.raises(OutputError, match="urgency"):
            await run.ask(step, "I lost my card!")
    assert fleet.models == [SMALL.name]


async def test_a_vote_below_the_bar_climbs() -> None:
    fleet = ScriptedFleet(Say(["4", "5", "6", "4"]), Say(["5", "5", "5", "4"], model=LARGE.name))
    step = Step("Add.", strategy=vote(4), accept=0.6, name="add")
    async with fleet.session() as run:
        answer = await run.answer(step, "2 + 3")
    assert (answer.value, answer.confidence, answer.rungs) == ("5", 0.75, 2)


async def test_where_the_large_model_fails_the_doubted_answer_is_given() -> None:
    broken = Say(model=LARGE.name, fault=BackendUnavailableError("it is down"))
    fleet = ScriptedFleet(Say(["4", "5", "6", "4"]), broken)
    async with fleet.session() as run:
        answer = await run.answer(Step("Add.", strategy=vote(4), accept=0.9), "2 + 3")
    assert (answer.value, answer.confidence) == ("4", 0.5)
    assert answer.why == "not climbed: it is down"


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


async def weather(city: str) -> str:
    """The weather of a city.

    :param city: its name.
    """
    return f"rain in {city}"


def breaks(city: str) -> str:
    """The weather of a city."""
    raise RuntimeError("no sky")


async def test_tools_are_run_and_what_they_say_goes_back() -> None:
    call = Say(calls={"weather": '{"city": "Oslo"}'})
    fleet = ScriptedFleet(call, Say("It rains.", when="rain in Oslo"))
    async with fleet.session() as run:
        assert await run.ask(Step("Tell the weather.", tools=[weather]), "Oslo?") == "It rains."
    last = fleet.requests[-1].messages
    assert [m.role for m in last] == ["system", "user", "assistant", "tool"]
    assert last[2].extra["tool_calls"][0]["function"]["name"] == "weather"
    assert [span.kind for span in run.trace.spans()] == ["run", "step", "call", "tool", "call"]
    assert run.spent.tool_calls == 1


async def test_a_tool_that_raises_ends_the_step_and_the_trace_says_so() -> None:
    fleet = ScriptedFleet(Say(calls={"breaks": '{"city": "Oslo"}'}))
    async with fleet.session() as run:
        with pytest.raises(ToolFailedError, match="no sky"):
            await run.ask(Step("Tell the weather.", tools=[breaks]), "Oslo?")
    errors = {span.kind: span.error for span in run.trace.spans()}
    assert "no sky" in (errors["tool"] or "")
    assert "no sky" in (errors["step"] or "")
    assert errors["call"] is None


async def test_a_model_that_only_calls_tools_is_stopped() -> None:
    fleet = ScriptedFleet(Say(calls={"weather": '{"city": "Oslo"}'}, times=None))
    async with fleet.session() as run:
        with pytest.raises(OutputError, match="max_turns=3"):
            await run.ask(Step("Tell.", tools=[weather], max_turns=3), "Oslo?")
    assert len(fleet.requests) == 3


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(requests=10), "requests"),
        (Limits(tokens=2_000), "tokens"),
        (Limits(usd=0.004), "usd"),
        (Limits(joules=200), "joules"),
    ],
)
async def test_no_limit_is_passed_by_asks_side_by_side(limits: Limits, limit: str) -> None:
    fleet = ScriptedFleet(Say("one two three four", times=None, seconds=0.01))
    step = Step("Count.", max_tokens=8)
    async with fleet.session(limits) as run:
        results = await asyncio.gather(*(run.ask(step, "to four") for _ in range(64)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, LimitError)]
    assert refused
    assert {each.limit for each in refused} == {limit}
    assert len(refused) < 64
    assert getattr(run.spent, limit) <= getattr(limits, limit)


async def test_a_session_ends_in_time() -> None:
    fleet = ScriptedFleet(Say("late", seconds=60, times=None))
    async with fleet.session(Limits(seconds=0.05)) as run:
        with pytest.raises(LimitError) as raised:
            await run.ask(Step(), "?")
        assert raised.value.limit == "seconds"
    assert (fleet.running, fleet.aborted) == (0, 1)


async def test_without_escalations_left_the_first_answer_is_taken() -> None:
    fleet = ScriptedFleet(Say("a"))
    async with fleet.session(Limits(escalations=0)) as run:
        assert await run.ask(Step(), "?") == "a"


async def test_a_cancelled_session_aborts_every_call() -> None:
    fleet = ScriptedFleet(Say("late", seconds=60, times=None))
    async with fleet.session() as run:
        asked = [asyncio.create_task(run.ask(Step(), "?")) for _ in range(8)]
        await until(lambda: fleet.running == 8)
        run.cancel()
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(end, AgentError) for end in ends)
        assert (fleet.running, fleet.aborted) == (0, 8)
        with pytest.raises(AgentError, match="was cancelled"):
            await run.ask(Step(), "?")


async def test_a_cancelled_ask_aborts_its_call_alone() -> None:
    fleet = ScriptedFleet(Say("late", seconds=60), Say("soon"))
    async with fleet.session() as run:
        asked = asyncio.create_task(run.ask(Step(), "?"))
        await until(lambda: fleet.running == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (fleet.running, fleet.aborted) == (0, 1)
        assert await run.ask(Step(), "?") == "soon"


@dataclass
class Anything:
    """Too open to hold a model to."""

    value: object


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"output": Anything}, "leaves 'value' open"),
        ({"output": object}, "allows anything|has no JSON schema"),
        ({"output": asyncio.Event}, "has no JSON schema"),
        ({"max_turns": 0}, "max_turns of at least 1, got 0"),
        ({"max_tokens": 0}, "max_tokens of at least 1"),
        ({"accept": 1.5}, "accept between 0 and 1"),
        ({"template": "no slot"}, "a template with"),
        ({"tools": [weather, weather]}, "'weather' twice"),
        ({"name": " "}, "a name"),
    ],
)
def test_a_step_that_cannot_be_asked_says_what_to_change(fields: dict[str, object], told: str) -> None:
    with pytest.raises(StepError, match=told):
        Step("Do it.", **fields)  # type: ignore[arg-type]


async def test_map_keeps_the_order_and_the_first_failure_ends_it() -> None:
    fleet = ScriptedFleet(*(Say(f"{n}!", when=f"number {n}") for n in range(20)))

    async def shout(run: Session, number: int) -> str:
        return await run.ask(Step(), f"number {number:d} ")

    assert await fleet.map(shout, range(3, 10), at_once=2) == [f"{n}!" for n in range(3, 10)]
    failing = ScriptedFleet(Say(fault=BackendUnavailableError("down")), Say(seconds=60, times=None))
    with pytest.raises(BackendUnavailableError):
        await failing.map(shout, range(5))
    assert (failing.running, failing.aborted) == (0, 4)


def test_a_fleet_can_be_asked_without_await() -> None:
    fleet = ScriptedFleet(Say("one"), Say("two"), Say("three"))
    with fleet.blocking() as blocking:
        assert blocking.ask(Step(), "?") == "one"
        assert blocking.run(lambda run: run.ask(Step(), "?")) == "two"
        assert blocking.map(lambda run, text: run.ask(Step(), text), ["?"]) == ["three"]


async def test_a_script_that_is_not_used_up_fails_its_test() -> None:
    fleet = ScriptedFleet(Say("one"), Say("two"))
    async with fleet.session() as run:
        await run.ask(Step(), "?")
        with pytest.raises(AssertionError, match="1 lines"):
            fleet.assert_done()
        await run.ask(Step(), "?")
        with pytest.raises(AssertionError, match="no line"):
            await run.ask(Step(), "?")


async def events_of(run: Session, step: Step[str], text: str) -> list[object]:
    return [event async for event in run.stream(step, text)]


async def test_free_text_is_streamed_as_it_is_written() -> None:
    fleet = ScriptedFleet(Say("It is Paris."))
    async with fleet.session() as run:
        *pieces, final = await events_of(run, Step(), "The capital?")
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["It", " is", " Paris."]
    assert isinstance(final, Final)
    assert final.answer.value == "It is Paris."


async def test_text_that_could_be_taken_back_comes_once_it_is_settled() -> None:
    fleet = ScriptedFleet(Say(BAD), Say(GOOD, model=LARGE.name))
    async with fleet.session() as run:
        climbed, text, final = [event async for event in run.stream(TICKET, "I lost my card!")]
    assert isinstance(climbed, Escalated)
    assert climbed.model == LARGE.name
    assert text == Text(GOOD)
    assert isinstance(final, Final)
    assert final.answer.value.urgency == 4


async def test_tool_calls_are_told() -> None:
    fleet = ScriptedFleet(Say(calls={"weather": '{"city": "Oslo"}'}), Say("It rains."))
    async with fleet.session() as run:
        first, *_, last = await events_of(run, Step("Tell.", tools=[weather]), "Oslo?")
    assert first == ToolCalled("weather", '{"city": "Oslo"}')
    assert isinstance(last, Final)


async def test_a_stream_that_is_left_aborts_its_call() -> None:
    fleet = ScriptedFleet(Say("late", seconds=60))
    async with fleet.session() as run:
        stream = run.stream(Step(), "?")
        asked = asyncio.create_task(anext(stream))
        await until(lambda: fleet.running == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await stream.aclose()
        assert (fleet.running, fleet.aborted) == (0, 1)


async def test_a_stream_raises_what_went_wrong() -> None:
    fleet = ScriptedFleet(Say(fault=BackendUnavailableError("down")))
    async with fleet.session() as run:
        with pytest.raises(BackendUnavailableError):
            await events_of(run, Step(), "?")


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


def test_the_type_of_a_step_may_be_written_out() -> None:
    assert Step[Ticket]("Read.", output=Ticket).output is Ticket


async def test_a_climb_goes_past_models_of_one_price_and_past_those_that_cannot() -> None:
    members = (SMALL, Member("twin", 0.01, 0.02), Member("middle", 1.0, 1.0), LARGE)
    cannot = NoCapableModelError("middle has no tools")
    fleet = ScriptedFleet(
        Say(BAD), Say(model="middle", fault=cannot), Say(GOOD, model=LARGE.name), members=members
    )
    async with fleet.session() as run:
        assert (await run.ask(TICKET, "I lost my card!")).urgency == 4
    assert fleet.models == ["auto", "middle", LARGE.name]
    failed = next(span for span in run.trace.spans() if span.model == "middle")
    assert (failed.rung, failed.error) == (1, "NoCapableModelError: middle has no tools")


async def test_a_bar_of_the_step_goes_with_single_answers_alone() -> None:
    fleet = ScriptedFleet(Say("a"), Say(["a", "a"]))
    async with fleet.session() as run:
        await run.ask(Step(accept=0.7), "?")
        await run.ask(Step(accept=0.7, strategy=vote(2)), "?")
    assert [request.accept for request in fleet.requests] == [0.7, 0.0]


async def test_schemas_are_closed_and_strict_where_every_field_is_needed() -> None:
    class Loose(BaseModel):
        name: str
        note: str = ""

    fleet = ScriptedFleet(Say(GOOD), Say('{"name": "x"}'))
    async with fleet.session() as run:
        await run.ask(TICKET, "?")
        await run.ask(Step(output=Loose), "?")
    formats = [(request.response_format or {})["json_schema"] for request in fleet.requests]
    assert [each["strict"] for each in formats] == [True, False]
    assert [each["schema"]["additionalProperties"] for each in formats] == [False, False]
