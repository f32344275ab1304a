"""One call of a model, as a session makes it: within what it may spend, and written into its trace.

What a call may take at most is reserved before it goes out, and settled by what it took; calls side by side
can therefore not overspend together. Knows nothing of steps, and of what is done with an answer.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from pinnace.agents.budget import Budget, Reservation
from pinnace.agents.gathering import Hear, reply_of
from pinnace.agents.limits import Limits
from pinnace.agents.line import AUTO, Line
from pinnace.agents.reply import Member, Reply
from pinnace.errors import AgentError, StepError
from pinnace.models.completion import Request
from pinnace.models.voted import drawn_samples
from pinnace.router.needs import wants_json

T = TypeVar("T")
Figures = Callable[[Member], tuple[float, float] | None]
"""From a model to what a token read and a token written take."""
TURN_TOKENS = 64
"""What a chat template adds to a turn, at most."""
SYSTEM_TOKENS = 64
"""A model's own system turn, where a request has none."""
FORM_TOKENS = 192
"""What a local model is told about tools and schemas, besides these themselves."""


class Caller:
    """Makes the calls of one session; they end with the session's time, and when it is cancelled."""

    def __init__(self, line: Line, limits: Limits, budget: Budget) -> None:
        self.budget = budget
        self._line = line
        self._limits = limits
        self._members: tuple[Member, ...] | None = None
        self._listing = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self.is_cancelled = False

    async def members(self) -> tuple[Member, ...]:
        """Who may be asked by name, the cheapest first; they are listed once.

        :raises LimitError: when the session's time is over before they are.
        """
        return self._members if self._members is not None else await self.within(self._listed())

    async def call(self, request: Request, model: str = AUTO, *, hear: Hear | None = None) -> Reply:
        """Ask once; a route that climbs takes one of the session's escalations. `hear` gets each piece.

        What a call that fails had spent by then nobody tells: it is charged as one request.

        :raises LimitError: when the call could pass a limit of the session, or its time is over.
        :raises StepError: when the fleet does not know what a limit counts.
        """
        self.budget.check_time()
        worst = self._worst(request, model, await self.members() if self._is_counted() else ())
        held, may_climb = self._reserve(worst, model)
        if not may_climb:
            request = replace(request, accept=0.0)
        try:
            reply = await self.within(self._said(request, model, hear))
        except BaseException:
            held.settle(**(dict.fromkeys([*worst, "escalations"], 0.0) | {"requests": 1.0}))
            raise
        account = reply.account
        known = {} if account.joules is None else {"joules": account.joules}
        held.settle(
            tokens=account.usage.prompt_tokens + account.usage.completion_tokens,
            usd=account.cost_usd,
            escalations=int(account.escalated),
            **known,
        )
        return reply

    def may_climb(self) -> bool:
        """Whether the session has an escalation left."""
        most = self._limits.escalations
        return most is None or self.budget.spent.escalations + self.budget.reserved.escalations < most

    def cancel(self) -> None:
        """Abort every call in its engine and every tool, and let none go out any more."""
        self.is_cancelled = True
        for task in self._running:
            task.cancel()

    async def within(self, doing: Coroutine[Any, Any, T]) -> T:
        """Do it within the session's time, and only as long as the session is not cancelled.

        :raises LimitError: when the session's time is over before it is done.
        :raises AgentError: when the session is cancelled.
        """
        if self.is_cancelled:
            doing.close()
            raise AgentError("the session was cancelled")
        task = asyncio.create_task(doing)
        self._running.add(task)
        try:
            async with self.budget.in_time():
                return await task
        except asyncio.CancelledError:
            if self.is_cancelled:
                raise AgentError("the session was cancelled") from None
            raise
        finally:
            task.cancel()
            self._running.discard(task)
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _listed(self) -> tuple[Member, ...]:
        async with self._listing:
            if self._members is None:
                self._members = tuple(sorted(await self._line.members(), key=lambda each: each.price))
            return self._members

    def _is_counted(self) -> bool:
        """Whether a limit counts what depends on who answers."""
        return any(getattr(self._limits, name) is not None for name in ("tokens", "usd", "joules"))

    def _reserve(self, worst: dict[str, float], model: str) -> tuple[Reservation, bool]:
        """Promise `worst` to a call, and whether its route may climb, which a pinned one cannot."""
        is_counted = self._limits.escalations is not None and model == AUTO
        if is_counted and self.may_climb():
            return self.budget.reserve(**worst, escalations=1), True
        return self.budget.reserve(**worst), not is_counted

    async def _said(self, request: Request, model: str, hear: Hear | None) -> Reply:
        """The reply, whole or piece by piece."""
        if hear is None:
            return await self._line.complete(request, model)
        return await reply_of(self._line.stream(request, model), request.n, hear)

    def _worst(self, request: Request, model: str, members: Sequence[Member]) -> dict[str, float]:
        """The most that one call may take: a token has a byte at least, and every model of a route may write
        its whole answer.

        :raises StepError: when a limit counts dollars or joules and a model that may answer has no figure.
        """
        asked = [each for each in members if model in (AUTO, each.name)]
        turns = sum(_bytes(m.content) + _size(m.extra) + TURN_TOKENS for m in request.messages)
        schema = request.response_format if wants_json(request) else None
        forms = sum(FORM_TOKENS + _size(each) for each in (request.tools, schema) if each)
        prompt = SYSTEM_TOKENS + turns + forms
        written = {each: _written(request, each) for each in asked or (Member(model),)}
        worst: dict[str, float] = {"requests": 1, "tokens": prompt * len(written) + sum(written.values())}
        for limit, figures in (("usd", _prices), ("joules", _joules)):
            if getattr(self._limits, limit) is not None:
                worst[limit] = sum(
                    _cost(each, figures, prompt, tokens, limit) for each, tokens in written.items()
                )
        return worst


def _written(request: Request, member: Member) -> int:
    """Tokens that a member may write for it, those of its votes among them."""
    return request.max_tokens * drawn_samples(member.votes, request)


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _size(told: object) -> int:
    """Bytes that something takes in a prompt at most, as JSON; none where there is none of it."""
    return _bytes(json.dumps(told, default=repr)) if told else 0


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
