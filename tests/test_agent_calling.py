"""Calls of a session: what is reserved for them, who is listed when, and how they end with the session."""

import asyncio
import json
from dataclasses import replace

import pytest
from pydantic import BaseModel, Field
from session_fixtures import weather

from pinnace.agents.budget import Spent
from pinnace.agents.limits import Limits
from pinnace.agents.reply import Member, Reply
from pinnace.agents.scripted_fleet import LARGE, SMALL, Say, ScriptedFleet
from pinnace.agents.step import Step
from pinnace.agents.tools import tool
from pinnace.agents.voting import vote
from pinnace.errors import AgentError, BackendUnavailableError, LimitError, StepError
from pinnace.models.completion import Request


class Slow(ScriptedFleet):
    """Lists its members after `seconds`, and counts how often."""

    def __init__(self, *script: Say, seconds: float = 0.0, fault: Exception | None = None) -> None:
        super().__init__(*script)
        self.seconds = seconds
        self.fault = fault
        self.listed = 0

    async def members(self) -> tuple[Member, ...]:
        self.listed += 1
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault
        return SMALL, LARGE


async def test_members_are_listed_once_a_session_and_only_where_a_limit_needs_them() -> None:
    fleet = Slow(Say("yes", times=None), seconds=0.01)
    async with fleet.session(Limits(requests=64, seconds=60)) as run:
        await asyncio.gather(*(run.ask(Step(), "?") for _ in range(8)))
    assert fleet.listed == 0
    async with fleet.session(Limits(tokens=10**6)) as run:
        await asyncio.gather(*(run.ask(Step(), "?") for _ in range(8)))
    assert fleet.listed == 1


async def test_where_nobody_lists_members_a_step_may_name_its_model() -> None:
    fleet = Slow(Say("yes", times=None), fault=BackendUnavailableError("no list here"))
    async with fleet.session() as run:
        assert await run.ask(Step(model="scripted-small"), "?") == "yes"
        assert await run.ask(Step(accept=0.5), "?") == "yes"


async def test_where_members_cannot_be_listed_a_doubted_answer_is_taken() -> None:
    fleet = Slow(Say(["3", "4"]), fault=BackendUnavailableError("no list here"))
    async with fleet.session() as run:
        answer = await run.answer(Step(strategy=vote(2), accept=0.9), "?")
    assert (answer.value, answer.confidence) == ("3", 0.5)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_listing_members_ends_with_the_session(is_cancelled: bool) -> None:
    fleet = Slow(Say("yes"), seconds=60)
    limits = Limits(tokens=10**6, seconds=60 if is_cancelled else 0.05)
    async with asyncio.timeout(10), fleet.session(limits) as run:
        if is_cancelled:
            asyncio.get_running_loop().call_later(0.05, run.cancel)
        with pytest.raises(AgentError if is_cancelled else LimitError):
            await run.ask(Step(), "?")


async def test_cancelling_a_session_ends_its_tools() -> None:
    ended = asyncio.Event()

    @tool
    async def waits(city: str) -> str:
        """Wait for a city."""
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return city

    fleet = ScriptedFleet(Say(calls={"waits": '{"city": "Oslo"}'}))
    async with asyncio.timeout(10), fleet.session() as run:
        asyncio.get_running_loop().call_later(0.05, run.cancel)
        with pytest.raises(AgentError, match="cancelled"):
            await run.ask(Step(tools=[waits]), "?")
        await ended.wait()


@pytest.mark.parametrize("limits", [Limits(usd=0.01), Limits(joules=1.0)])
async def test_what_a_model_costs_that_nobody_lists_cannot_be_limited(limits: Limits) -> None:
    fleet = ScriptedFleet()
    async with fleet.session(limits) as run:
        with pytest.raises(StepError, match="figures of every model that may answer, and 'other' has none"):
            await run.ask(Step(model="other"), "?")
        assert run.spent.requests == 0


class Told(BaseModel):
    """Fields whose descriptions take more bytes than characters."""

    first: int = Field(description="漢字🙂" * 200)
    second: int = Field(description="𓀀𓁐" * 200)


@pytest.mark.parametrize("step", [Step(output=Told, max_tokens=10), Step(tools=[weather], max_tokens=10)])
async def test_a_call_is_promised_every_byte_of_its_prompt(step: Step[object]) -> None:
    class Watching(ScriptedFleet):
        async def complete(self, request: Request, model: str = "auto") -> Reply:
            reserved.append(run._budget.reserved.tokens)
            sent.append(request)
            return await super().complete(replace(request, response_format=None, tools=()), model)

    reserved, sent = list[int](), list[Request]()
    fleet = Watching(Say('{"first": 1, "second": 2}'))
    async with fleet.session(Limits(tokens=10**6)) as run:
        await run.ask(step, "漢" * 100)
    told = [message.content for message in sent[0].messages] + [
        json.dumps(each, ensure_ascii=False) for each in (sent[0].tools, sent[0].response_format) if each
    ]
    assert reserved[0] >= 2 * (sum(len(each.encode()) for each in told) + 10)


async def test_a_text_that_is_none_is_refused_at_the_door() -> None:
    fleet = ScriptedFleet()
    async with fleet.session() as run:
        with pytest.raises(StepError, match=r"text that UTF-8 can carry, got '\\ud800' at character 2"):
            await run.ask(Step(name="read"), "a \ud800")


@pytest.mark.parametrize(("step", "votes"), [(Step(output=int), 8), (Step(), 1)])
async def test_a_call_is_promised_what_all_votes_may_write(step: Step[object], votes: int) -> None:
    member = Member("votes", 1.0, 1e6, (0.0, 1.0), votes=8)
    reserved = list[Spent]()

    class Watching(ScriptedFleet):
        async def complete(self, request: Request, model: str = "auto") -> Reply:
            reserved.append(run._budget.reserved)
            return await super().complete(request, model)

    fleet = Watching(Say('{"answer": 1}', model="votes"), members=[member])
    async with fleet.session(Limits(tokens=10**6, usd=10**6, joules=10**6)) as run:
        await run.ask(step, "?")
    assert reserved[0].joules == votes * step.max_tokens
    assert votes * step.max_tokens < reserved[0].tokens < votes * step.max_tokens + 5_000
    assert reserved[0].usd >= votes * step.max_tokens
