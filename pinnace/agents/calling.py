"""One call of a model, as a session makes it: within what it may spend, and written into its trace.

What a call may take at most is reserved before it goes out, and settled by what it took; calls side by side
can therefore not overspend together. Knows nothing of steps, and of what is done with an answer.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pinnace.agents.budget import Budget, Reservation
from pinnace.agents.gathering import Hear, reply_of
from pinnace.agents.limits import Limits
from pinnace.agents.line import AUTO, Line
from pinnace.agents.reply import Member, Reply
from pinnace.errors import AgentError, StepError
from pinnace.models.completion import Request
from pinnace.router.needs import wants_json

Figures = Callable[[Member], tuple[float, float] | None]
"""From a model to what a token read and a token written take."""
TURN_TOKENS = 64
"""What a chat template adds to a turn, at most."""
SYSTEM_TOKENS = 64
"""A model's own system turn, where a request has none."""
FORM_TOKENS = 192
"""What a local model is told about tools and schemas, besides these themselves."""


class Caller:
    """Makes the calls of one session. `running` are those under way."""

    def __init__(self, line: Line, limits: Limits, budget: Budget) -> None:
        self.budget = budget
        self._line = line
        self._limits = limits
        self._members: tuple[Member, ...] | None = None
        self._running: set[asyncio.Task[Reply]] = set()
        self._is_cancelled = False

    async def members(self) -> tuple[Member, ...]:
        """Who may be asked by name, the cheapest first."""
        if self._members is None:
            self._members = tuple(sorted(await self._line.members(), key=lambda each: each.price))
        return self._members

    async def call(
        self,
        request: Request,
        model: str = AUTO,
        *,
        is_climb: bool = False,
        hear: Hear | None = None,
    ) -> Reply:
        """Ask once; a climb is one of the session's escalations. `hear` gets the pieces as they come.

        What a call that fails had spent by then nobody tells: it is charged as one request.

        :raises LimitError: when the call could pass a limit of the session, or its time is over.
        :raises StepError: when the fleet does not know what a limit counts.
        """
        self.budget.check_time()
        worst = self._worst(request, model, await self.members())
        held, may_climb = self._reserve(worst, model, is_climb=is_climb)
        if not may_climb:
            request = replace(request, accept=0.0)
        try:
            reply = await self._ask(self._said(request, model, hear))
        except BaseException:
            held.settle(**(dict.fromkeys([*worst, "escalations"], 0.0) | {"requests": 1.0}))
            raise
        account = reply.account
        known = {} if account.joules is None else {"joules": account.joules}
        held.settle(
            tokens=account.usage.prompt_tokens + account.usage.completion_tokens,
            usd=account.cost_usd,
            escalations=int(account.escalated or is_climb),
            **known,
        )
        return reply

    def may_climb(self) -> bool:
        """Whether the session has an escalation left."""
        most = self._limits.escalations
        return most is None or self.budget.spent.escalations + self.budget.reserved.escalations < most

    def cancel(self) -> None:
        """Abort every call in its engine, and let none go out any more."""
        self._is_cancelled = True
        for task in self._running:
            task.cancel()

    def _reserve(self, worst: dict[str, float], model: str, *, is_climb: bool) -> tuple[Reservation, bool]:
        """Promise `worst` to a call, and whether its route may climb, which a pinned one cannot."""
        if is_climb:
            return self.budget.reserve(**worst, escalations=1), False
        is_counted = self._limits.escalations is not None and model == AUTO
        if is_counted and self.may_climb():
            return self.budget.reserve(**worst, escalations=1), True
        return self.budget.reserve(**worst), not is_counted

    async def _said(self, request: Request, model: str, hear: Hear | None) -> Reply:
        """The reply, whole or piece by piece."""
        if hear is None:
            return await self._line.complete(request, model)
        return await reply_of(self._line.stream(request, model), request.n, hear)

    async def _ask(self, saying: Coroutine[Any, Any, Reply]) -> Reply:
        if self._is_cancelled:
            saying.close()
            raise AgentError("the session was cancelled")
        task = asyncio.create_task(saying)
        self._running.add(task)
        try:
            async with self.budget.in_time():
                return await task
        except asyncio.CancelledError:
            if self._is_cancelled:
                raise AgentError("the session was cancelled") from None
            raise
        finally:
            task.cancel()
            self._running.discard(task)
            with suppress(asyncio.CancelledError, Exception):
                await task

    def _worst(self, request: Request, model: str, members: Sequence[Member]) -> dict[str, float]:
        """The most that one call may take: a token has a byte at least, and every model of a route may write
        its whole answer.

        :raises StepError: when a limit counts dollars or joules and a model that may answer has no figure.
        """
        asked = [each for each in members if model in (AUTO, each.name)]
        turns = sum(len(m.content.encode()) + _size(m.extra) + TURN_TOKENS for m in request.messages)
        schema = request.response_format if wants_json(request) else None
        forms = sum(FORM_TOKENS + _size(each) for each in (request.tools, schema) if each)
        prompt, written = SYSTEM_TOKENS + turns + forms, request.n * request.max_tokens
        worst: dict[str, float] = {"requests": 1, "tokens": (prompt + written) * max(len(asked), 1)}
        for limit, figures in (("usd", _prices), ("joules", _joules)):
            if getattr(self._limits, limit) is not None:
                worst[limit] = sum(_cost(each, figures, prompt, written, limit) for each in asked)
        return worst


def _size(told: object) -> int:
    """Characters that something takes in a prompt; none where there is none of it."""
    return len(repr(told)) if told else 0


def _prices(member: Member) -> tuple[float, float] | None:
    """USD per token."""
    if member.input_price is None or member.output_price is None:
        return None
    return member.input_price / 1e6, member.output_price / 1e6


def _joules(member: Member) -> tuple[float, float] | None:
    """Joules per token."""
    return member.joules_per_token


def _cost(member: Member, figures: Figures, prompt: int, written: int, limit: str) -> float:
    found = figures(member)
    if found is None:
        raise StepError(
            f"a limit of {limit} needs figures of every model that may answer, and {member.name!r} has none: "
            "give it a price or energy in router.yaml, or leave the limit out"
        )
    return prompt * found[0] + written * found[1]
