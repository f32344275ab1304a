"""A line to the fleet in this process: through the dispatcher, as the server asks it.

Knows no wire. Whoever makes one starts the dispatcher before, and drains it after.
"""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from pinnace.agents.gathering import reply_of
from pinnace.agents.line import AUTO, Said
from pinnace.agents.reply import Account, Member, Reply, Settled
from pinnace.models.card import ModelCard
from pinnace.models.completion import Delta, Request
from pinnace.router.accepting import check_accept
from pinnace.router.answer import Answered, Event
from pinnace.router.dispatch import Dispatcher
from pinnace.router.ledger_row import joules_of_all


class LocalLine:
    """Asks a dispatcher that has been started. See `pinnace.agents.line.Line`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def complete(self, request: Request, model: str = AUTO) -> Reply:
        """The whole answer, judged whole.

        :raises RequestError: when the request cannot be served as it is.
        :raises BackendError: when no model could answer.
        """
        return await reply_of(self._said(_own(request), model, None), request.n)

    def stream(self, request: Request, model: str = AUTO) -> AsyncGenerator[Said, None]:
        """Who answers, judged by its first tokens, the pieces, and last the account; fails as `complete`."""
        return self._said(_own(request), model, self._dispatcher.hold_tokens)

    async def members(self) -> tuple[Member, ...]:
        """The models that serve, the cheapest first."""
        cards = sorted(self._dispatcher.fleet.cards(), key=lambda card: (card.output_price, card.input_price))
        return tuple(_member(card) for card in cards)

    async def _said(
        self, request: Request, model: str, hold_tokens: int | None
    ) -> AsyncGenerator[Said, None]:
        """The account comes after all events were read: else the ledger says `abandoned`."""
        began, answered = time.perf_counter(), None
        async with aclosing(self._events(request, model, hold_tokens)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    yield _as_asked(event, request.top_logprobs)
                elif isinstance(event, Answered):
                    answered = event
                else:
                    yield Settled(event.model, event.tried, event.why)
        assert answered is not None, "a route that committed ends with its account"
        yield _account(answered, time.perf_counter() - began)

    async def _events(
        self, request: Request, model: str, hold_tokens: int | None
    ) -> AsyncGenerator[Event, None]:
        """The events of the request's route, which is aborted where they are left early."""
        dispatcher = self._dispatcher
        if request.accept is not None:
            check_accept(request.accept)
        draft = dispatcher.head_start(request, hold_tokens, model)
        try:
            route = await dispatcher.route(request, model)
            running = dispatcher.run(request, route, hold_tokens=hold_tokens, model=model, head_start=draft)
            async with aclosing(running) as events:
                async for event in events:
                    yield event
        finally:
            if draft is not None:
                await draft.aclose()


def _own(request: Request) -> Request:
    """`request` with an id for the ledger."""
    return request if request.id else replace(request, id=f"agent-{secrets.token_hex(16)}")


def _as_asked(delta: Delta, top: int | None) -> Delta:
    """`delta` with the log-probabilities that were asked for: the gate's are no part of the answer."""
    if not delta.logprobs:
        return delta
    tokens = () if top is None else tuple(replace(token, top=token.top[:top]) for token in delta.logprobs)
    return replace(delta, logprobs=tokens)


def _account(answered: Answered, seconds: float) -> Account:
    return Account(
        model=answered.model,
        rungs=tuple(attempt.model for attempt in answered.attempts),
        confidence=answered.confidence,
        escalated=answered.escalated,
        why=answered.why,
        usage=answered.usage,
        cost_usd=answered.cost_usd,
        joules=joules_of_all(answered.attempts)[0],
        seconds=seconds,
    )


def _member(card: ModelCard) -> Member:
    energy, joules = card.energy, None
    if energy is not None and energy.input is not None and energy.output is not None:
        joules = energy.input / 1000, energy.output / 1000
    return Member(card.name, card.input_price, card.output_price, joules, card.votes)
