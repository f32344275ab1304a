"""Steps that answer with one of some texts, on the scripted fleet."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator

from pinnace.agents.answer import Text
from pinnace.agents.limits import Limits
from pinnace.agents.scripted_fleet import LARGE, Say, ScriptedFleet
from pinnace.agents.step import Step
from pinnace.errors import StepError


class Mood(StrEnum):
    """How they are."""

    CALM = "calm"
    CROSS = "cross"


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
