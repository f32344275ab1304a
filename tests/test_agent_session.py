"""Sessions on the scripted fleet: what steps give, when they climb, what they may spend, how they end."""

import asyncio
import json
import math
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from session_fixtures import BAD, GOOD, TICKET, Ticket, breaks, until, weather

from pinnace.agents.limits import Limits
from pinnace.agents.reply import Member
from pinnace.agents.scripted_fleet import LARGE, SMALL, Say, ScriptedFleet
from pinnace.agents.session import Session
from pinnace.agents.step import Step
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


async def test_where_the_large_model_fails_the_doubted_answer_is_given() -> None:
    broken = Say(model=LARGE.name, fault=BackendUnavailableError("it is down"))
    fleet = ScriptedFleet(Say(["4", "5", "6", "4"]), broken)
    async with fleet.session() as run:
        answer = await run.answer(Step("Add.", strategy=vote(4), accept=0.9), "2 + 3")
    assert (answer.value, answer.confidence) == ("4", 0.5)
    assert answer.why == "not climbed: it is down"


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


class Nothing(Enum):
    """Has no member."""


class Broken(BaseModel):
    """Has a hook that raises."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        raise ZeroDivisionError("not today")


class Endless(BaseModel):
    """Has a default that JSON has not."""

    most: float = math.inf


async def test_a_default_that_json_has_not_stays_at_home() -> None:
    fleet = ScriptedFleet(Say("{}"))
    async with fleet.session() as run:
        assert (await run.ask(Step(output=Endless), "?")).most == math.inf
    json.dumps(fleet.requests[0].response_format, allow_nan=False)


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
        ({"temperature": math.nan}, "a finite temperature"),
        ({"temperature": math.inf}, "a finite temperature"),
        ({"output": Nothing}, "allows nothing"),
        ({"output": Literal[()]}, "has no JSON schema"),
        ({"output": Annotated[str, Field(pattern="(")]}, "has no JSON schema"),
        ({"output": Broken}, "has no JSON schema .*ZeroDivisionError: not today"),
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
