"""Pipelines on the fleet that ships, in this process: what they give, spend and leave behind in the engine.

What is pinned is form, budgets and traces: what a model of 135M makes of a message is measured, not tested.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Limits, Session, Step, think_at, tool, vote
from pinnace.agents.local_line import LocalLine
from pinnace.agents.trace import NOT_FINISHED, Span
from pinnace.config import load_config
from pinnace.errors import AgentError, LimitError, ToolError, ToolFailedError, ToolTimeoutError
from pinnace.eval.suites import read_suite
from pinnace.models.supervisor import supervisor_of
from pinnace.router.dispatch import Dispatcher

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
TASKS = ROOT.parent / "shared" / "data" / "tasks"
STORY = Step("Write a very long story with many chapters.", max_tokens=4000, temperature=1.2, name="story")
SHORT = Step("Answer in one word.", max_tokens=8, name="short", accept=0.0)


class Fields(BaseModel):
    topic: str = Field(max_length=40)
    is_question: bool
    urgency: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class House:
    """The fleet, and the engine that all its local models share."""

    fleet: Fleet
    engine: Any

    async def is_idle(self) -> bool:
        """Whether no request holds any of the engine's memory."""
        return await self.engine.reset_prefix_cache()

    async def is_idle_within(self, seconds: float) -> bool:
        async with asyncio.timeout(seconds):
            while not await self.is_idle():  # noqa: ASYNC110 (the engine is in another process)
                await asyncio.sleep(0.1)
        return True


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    config = load_config(ROOT / "router.yaml", {})
    ledger = config.ledger.model_copy(update={"path": tmp_path_factory.mktemp("agents") / "ledger.sqlite"})
    dispatcher = Dispatcher.from_config(config.model_copy(update={"ledger": ledger}))
    async with Fleet(LocalLine(dispatcher), start=dispatcher.start, stop=dispatcher.drain) as fleet:
        supervisor = supervisor_of(dispatcher.fleet.backends["smollm2-135m"])
        assert supervisor is not None
        yield House(fleet, supervisor.backend._engine)  # type: ignore[attr-defined]


def calls_of(run: Session) -> list[Span]:
    return [span for span in run.trace.spans() if span.kind == "call"]


def is_whole(run: Session) -> bool:
    """Whether every span but the run's own has ended, as an error or with what it found."""
    return all(span.error != NOT_FINISHED for span in run.trace.spans() if span.kind != "run")


@pytest.mark.skipif(not TASKS.is_dir(), reason="the rows of CLINC150 are not here")
async def test_three_steps_over_real_utterances_are_valid_and_told(house: House) -> None:
    rows = [row for row in read_suite("clinc150", TASKS) if row.split == "held" and row.task == "clinc150"]
    labels: Any = Literal[tuple(rows[0].choices)]  # type: ignore[valid-type]
    asked = '"{input}"\nWhich intent does this message have? Answer with its name, or "out of scope".'
    classify = Step(template=asked, output=labels, name="classify", max_tokens=24)
    extract = Step("Read the message into fields.", output=Fields, name="extract", max_tokens=96)
    reply = Step("Write a short, friendly reply.", name="reply", max_tokens=48)

    async def pipeline(run: Session, said: str) -> tuple[str, Fields, str, list[Span]]:
        found = await run.ask(classify, said), await run.ask(extract, said), await run.ask(reply, said)
        return *found, calls_of(run)

    chosen = rows[::300][:16]
    found = await house.fleet.map(pipeline, [row.question for row in chosen])
    assert sum(label == row.expected for (label, *_), row in zip(found, chosen, strict=True)) >= 12
    for _, fields, said, calls in found:
        assert isinstance(fields, Fields)
        assert said
        assert [call.name for call in calls] == ["classify", "extract", "reply"]
        assert calls[0].model == "intents"
        assert all(call.model and call.usd > 0 and call.completion_tokens > 0 for call in calls)
        assert all(call.confidence is not None and 0 <= call.confidence <= 1 for call in calls)


@pytest.mark.parametrize("limit", ["requests", "tokens", "usd"])
async def test_sixty_four_asks_at_once_never_pass_a_limit(house: House, limit: str) -> None:
    limits = {"requests": Limits(requests=20), "tokens": Limits(tokens=9000), "usd": Limits(usd=0.0001)}[
        limit
    ]
    async with house.fleet.session(limits) as run:
        asks = [run.ask(SHORT, f"What is {n} times two?") for n in range(64)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        spent = getattr(run.spent, limit)
    refused = [each for each in found if isinstance(each, BaseException)]
    assert {type(each) for each in refused} == {LimitError}
    assert 0 < len(found) - len(refused) < 64
    assert 0 < spent <= getattr(limits, limit)
    assert is_whole(run)


async def test_a_cancelled_session_leaves_nothing_in_the_engine(house: House) -> None:
    """Whole, a story takes minutes; the engine's memory tells whether any still runs."""
    assert await house.is_idle_within(30)
    async with house.fleet.session() as run:
        asks = [asyncio.create_task(run.ask(STORY, f"About ship {n}.")) for n in range(24)]
        async with asyncio.timeout(60):
            while await house.is_idle():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        run.cancel()
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(each) for each in found} == {AgentError}
        assert await house.is_idle_within(10)
        with pytest.raises(AgentError, match="cancelled"):
            await run.ask(SHORT, "Still there?")
    assert is_whole(run)


async def test_leaving_a_stream_early_frees_its_place(house: House) -> None:
    async with house.fleet.session() as run:
        async for _ in run.stream(STORY, "About the sea."):
            break
    assert await house.is_idle_within(10)


@tool
def broken(city: str) -> str:
    """The weather of a city."""
    raise OSError(f"no wire to {city}")


@tool(timeout_s=0.3)
async def endless(city: str) -> str:
    """The weather of a city."""
    await asyncio.sleep(600)
    return city


@tool
def huge(city: str) -> str:
    """The weather of a city."""
    return "rain " * 1_000_000


@pytest.mark.parametrize(
    ("bad", "error"),
    [(broken, ToolFailedError), (endless, ToolTimeoutError), (huge, ToolFailedError)],
    ids=["raises", "hangs", "megabytes"],
)
async def test_a_bad_tool_ends_in_a_typed_error_and_a_whole_trace(
    house: House, bad: Any, error: type[ToolError]
) -> None:
    """Whether a model of 135M calls at all is its own business; one of these cities it asks for."""
    step = Step("Use the function.", tools=[bad], name="ask", max_tokens=64, max_turns=2, temperature=0)
    caught = list[BaseException]()
    for city in ("Oslo", "Paris", "Lima", "Rome"):
        async with house.fleet.session() as run:
            try:
                await run.ask(step, f"What is the weather in {city} today?")
            except AgentError as failure:
                caught.append(failure)
        assert is_whole(run)
        tools = [span for span in run.trace.spans() if span.kind == "tool"]
        assert all(span.error for span in tools)
    assert error in {type(each) for each in caught}, caught


async def test_thinking_at_the_beginning_finishes_what_it_keeps(house: House) -> None:
    step = Step(model="numbers", strategy=think_at(6, 4, 2), max_tokens=64, name="solve")
    async with house.fleet.session() as run:
        answer = await run.answer(
            step, "Mia has 14 marbles and wins 9 more. How many marbles does she have now?"
        )
    first, *rest = calls_of(run)
    assert (first.samples, first.completion_tokens) == (6, 24)
    assert 1 <= len(rest) <= 2
    assert {call.model for call in calls_of(run)} == {"numbers"}
    assert answer.confidence in (0.5, 1.0)
    assert "14" in answer.text


async def test_a_vote_is_one_request(house: House) -> None:
    step = Step(model="numbers", strategy=vote(4), max_tokens=64, name="solve")
    async with house.fleet.session() as run:
        answer = await run.answer(step, "What is 48 + 77?")
    (call,) = calls_of(run)
    assert call.samples == 4
    assert answer.confidence in (0.25, 0.5, 0.75, 1.0)
