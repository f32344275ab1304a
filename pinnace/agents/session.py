"""A session: one run of a pipeline, with one trace and one budget.

Plain async Python is the control flow: steps are asked in whatever order, side by side or in a loop. An
answer that is not of its step's type, or not sure enough, climbs to the next dearer model; nobody is asked
the same thing twice. Knows nothing of where the fleet is.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

from pinnace.agents.ablation import AS_WRITTEN, Ablation
from pinnace.agents.answer import Answer, Escalated, Final, StepEvent, Tell, Text, ToolCalled
from pinnace.agents.asking import StepAsking
from pinnace.agents.budget import Budget, Reservation, Spent
from pinnace.agents.calling import Caller
from pinnace.agents.limits import Limits
from pinnace.agents.line import AUTO, Line
from pinnace.agents.spanned import spanned
from pinnace.agents.step import Input, Step
from pinnace.agents.strategy import Choice, single
from pinnace.agents.trace import Trace
from pinnace.errors import AgentError, BackendError, LimitError, OutputError, RequestError
from pinnace.models.completion import Message
from pinnace.models.short_line import error_line

T = TypeVar("T")
UNLIMITED = Limits()


class Session:
    """Asks steps of a fleet. Leaving its block aborts whatever still runs.

    :param limits: what it may spend in all.
    :param ablation: what is changed in every step that it is asked.
    """

    def __init__(
        self,
        line: Line,
        limits: Limits = UNLIMITED,
        *,
        name: str = "run",
        ablation: Ablation = AS_WRITTEN,
    ) -> None:
        self.trace = Trace()
        self._span = self.trace.begin("run", name)
        self._budget = Budget(limits)
        self._caller = Caller(line, limits, self._budget)
        self._ablation = ablation

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._span.end(error=None if error is None else error_line(error))

    @property
    def spent(self) -> Spent:
        """What it has spent so far."""
        return self._budget.spent

    def cancel(self) -> None:
        """Abort every call in its engine; asks that wait for one raise `AgentError`, later ones too."""
        self._caller.cancel()

    async def ask(self, step: Step[T], asked: Input) -> T:
        """The value of one step; see `answer` for what is raised."""
        return (await self.answer(step, asked)).value

    async def answer(self, step: Step[T], asked: Input) -> Answer[T]:
        """The answer to one step, with how it came about.

        :raises OutputError: when no model's answer is of the step's type.
        :raises LimitError: when the next call could pass a limit of the session, and there is no answer yet.
        :raises ToolError: when a tool could not be used, and there is no answer yet.
        :raises BackendError: when no model could answer.
        """
        return await self._answer(self._ablation.of(step), asked, None)

    async def stream(self, step: Step[T], asked: Input) -> AsyncGenerator[StepEvent[T], None]:
        """The same as it happens: text, tool calls, escalations, and last `Final`.

        Text comes as it is written where one free answer is asked for; where it has to be of a type, or to
        win a vote, it comes once it is settled. Leaving the loop early aborts what runs.
        """
        step = self._ablation.of(step)
        told: asyncio.Queue[Text | ToolCalled | Escalated | None] = asyncio.Queue()
        task = asyncio.create_task(self._answer(step, asked, told.put_nowait))
        task.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (event := await told.get()) is not None:
                yield event
            answer = task.result()
            if not _is_live(step):
                yield Text(answer.text)
            yield Final(answer)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _answer(self, step: Step[T], asked: Input, tell: Tell | None) -> Answer[T]:
        with spanned(self.trace, "step", step.name, self._span.id) as span:
            return await self._climb(step, step.messages(asked), span.id, tell)

    async def _climb(
        self, step: Step[T], messages: Sequence[Message], parent: int, tell: Tell | None
    ) -> Answer[T]:
        """Try rung after rung, until an answer is taken or nothing is left above."""
        model, tried = step.model, list[str]()
        best: tuple[Choice[T], StepAsking[T]] | None = None
        climb = self._budget.reserve()
        while True:
            asking = StepAsking(
                step,
                messages,
                self._caller,
                self.trace,
                parent,
                model=model,
                rung=len(tried),
                tell=tell,
                is_live=_is_live(step),
            )
            try:
                with climb:
                    choice = await step.strategy(asking)
                    climb.settle()
            except (BackendError, RequestError, AgentError) as error:
                is_served = isinstance(error, AgentError)
                above = await self._above(step, [*tried, model]) if tried and not is_served else None
                if above is not None:
                    model, climb = above
                    _tell_climb(tell, model, f"the model before failed: {error_line(error)}")
                    continue
                if best is None or self._caller.is_cancelled:
                    raise
                return _answer(*best, len(tried), f"not climbed: {error}")
            tried.append(choice.drawn.account.model)
            if choice.drawn.is_valid:
                best = choice, asking
            above = None if _is_taken(choice, step) else await self._above(step, tried)
            if above is None:
                if best is None:
                    unreadable = OutputError(_unreadable(step, tried, choice.drawn.fault))
                    raise choice.drawn.error or unreadable
                return _answer(*best, len(tried))
            why = choice.drawn.fault or f"{choice.why}: below {step.accept}"
            asking.doubt(why)
            model, climb = above
            _tell_climb(tell, model, why)

    async def _above(self, step: Step[Any], tried: Sequence[str]) -> tuple[str, Reservation] | None:
        """The cheapest model dearer than all that were tried, and the escalation that is promised to it.

        None where there is none, none may be asked, or nobody can tell.
        """
        if step.model != AUTO or not self._caller.may_climb():
            return None
        try:
            members = await self._caller.members()
            prices = [each.price for each in members if each.name in tried]
            above = next((each.name for each in members if prices and each.price > max(prices)), None)
            return (above, self._budget.reserve(escalations=1)) if above is not None else None
        except (BackendError, RequestError, LimitError):
            return None


def _tell_climb(tell: Tell | None, model: str, why: str) -> None:
    if tell is not None:
        tell(Escalated(model, why))


def _is_live(step: Step[Any]) -> bool:
    """Whether its text can be told as it is written: it is never judged by anything but its route."""
    return step.strategy is single and step.reads.is_free


def _is_taken(choice: Choice[T], step: Step[T]) -> bool:
    """Whether an answer needs no climb: it is valid, and as sure as the step asks for.

    A confidence of the route's own has met its bar already, or there was nothing left to climb to.
    """
    if not choice.drawn.is_valid:
        return False
    return (
        step.accept is None
        or choice.is_gated
        or choice.confidence is None
        or choice.confidence >= step.accept
    )


def _answer(choice: Choice[T], asking: StepAsking[T], rungs: int, why: str | None = None) -> Answer[T]:
    drawn = choice.drawn
    asking.accept()
    value = cast(T, drawn.value)
    return Answer(value, drawn.sample.text, choice.confidence, why or choice.why, rungs, drawn.account)


def _unreadable(step: Step[Any], tried: Sequence[str], fault: str | None) -> str:
    return (
        f"step {step.name!r}: no answer of {' > '.join(tried)} is of its type; the last: {fault}. "
        "Raise max_tokens where it was cut off, or ask for a simpler type"
    )
