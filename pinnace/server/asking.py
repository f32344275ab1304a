"""What every endpoint that asks a model has in common: read, admit, route, run, send.

An endpoint says what it asks and how the answer is written (`Asked`); an `Asker` does the rest, whole or
streamed. Knows the dispatcher, and nothing of any one wire. Errors are raised, and answered at the edge
(`pinnace.server.app`).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from starlette.types import Receive, Scope

from pinnace.config import Limits
from pinnace.config import ResponseCache as CacheConfig
from pinnace.models.completion import Delta, Request
from pinnace.models.voted import drawn_samples
from pinnace.router.answer import Answered, Committed, Event
from pinnace.router.dispatch import AUTO, Dispatcher
from pinnace.server.admission import Admission
from pinnace.server.body import check_shape, read_body
from pinnace.server.deadline import bounded, leave_to_cascade
from pinnace.server.envelope import RETRY_SOON_S, Envelope, refused
from pinnace.server.exchange import Exchange, exchange_of
from pinnace.server.headers import headers_of
from pinnace.server.response_cache import ResponseCache, is_deterministic
from pinnace.server.retold import Retold
from pinnace.server.sight import traced

Finish = Callable[[], Awaitable[None]]
"""What is left to send once a request has given its place back."""


class WholeAnswer(Protocol):
    """An answer that is gathered before anything is sent."""

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        ...

    def body(self, answered: Answered) -> bytes:
        """The JSON of it all."""
        ...


class StreamedAnswer(Protocol):
    """An answer that is sent as events, as it is made."""

    def opening(self) -> bytes:
        """What comes before any text."""
        ...

    def delta(self, delta: Delta) -> bytes:
        """The events of one piece; none where it says nothing yet."""
        ...

    def ending(self, answered: Answered) -> bytes:
        """The last events."""
        ...

    def failure(self, envelope: Envelope) -> bytes:
        """The last event of an answer that broke off."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of which model, and how its answer is written.

    `weight` is the tokens that it may take. `streamed` makes the stream of the model that answers; without
    it the answer is sent whole.
    """

    request: Request
    model: str
    weight: int
    whole: Callable[[], WholeAnswer]
    streamed: Callable[[str], StreamedAnswer] | None = None


class Asker:
    """Asks the fleet for what endpoints want. `limits` are the caps of `router.yaml`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        admission: Admission,
        limits: Limits,
        cache: ResponseCache | None = None,
    ) -> None:
        self.limits = limits
        self._dispatcher = dispatcher
        self._admission = admission
        self._retold = Retold(dispatcher, cache or ResponseCache(CacheConfig()))

    def weight(self, body: bytes, request: Request, model: str) -> int:
        """Tokens that a call may take: as `weight_of`, with all votes of whoever may answer."""
        cards = self._dispatcher.fleet.cards()
        votes = max((card.votes for card in cards if model in (AUTO, card.name)), default=1)
        return len(body) // 4 + request.max_tokens * drawn_samples(votes, request)

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The body of a request, unless it would be refused anyway.

        :raises RefusedError: 503 or 429 where nothing is taken now, 413 where it is too large.
        """
        self._admission.check(exchange_of(scope).priority)
        if not self._dispatcher.fleet.is_ready():
            raise refused(503, "The fleet is not ready yet.", code="not_ready", retry_after=RETRY_SOON_S)
        body = await read_body(scope, receive, self.limits.body_bytes)
        check_shape(body, self.limits)
        return body

    async def answer(self, exchange: Exchange, receive: Receive, asked: Asked) -> None:
        """Wait for a place, ask, and send the answer."""
        asked = self.claimed(exchange, asked)
        request, caller = asked.request, exchange.caller
        if caller is not None and caller.may_cache and is_deterministic(request):
            source = self._retold.events(
                exchange, request, asked.model, self._live(asked), is_stream=asked.streamed is not None
            )
            async with exchange.lifeline.watching(receive), source as events:
                finish = await self._reply(exchange, asked, events)
        else:
            async with (
                exchange.lifeline.watching(receive),
                self._admission.slot(asked.weight, request.priority),
                self._routed(asked) as events,
            ):
                finish = await self._reply(exchange, asked, events)
        await finish()

    def claimed(self, exchange: Exchange, asked: Asked) -> Asked:
        """`asked` in its caller's name; `answer` does that itself.

        :raises RefusedError: 403 for a model that the caller may not use, 429 for too many tokens a minute.
        """
        caller = exchange.caller
        if caller is None:
            return asked
        request = caller.claim(asked.request, asked.model, asked.weight, exchange.priority)
        if exchange.is_private:
            request = replace(request, private=True)
        return asked if request is asked.request else replace(asked, request=request)

    def permit(self, exchange: Exchange, model: str, weight: int) -> None:
        """Whether the caller may have so many tokens of `model`, for endpoints that ask no fleet member.

        :raises RefusedError: 403 for a model that it may not use, 429 for too many tokens a minute.
        """
        if exchange.caller is not None:
            exchange.caller.permit(model, weight)

    @asynccontextmanager
    async def _live(self, asked: Asked) -> AsyncGenerator[AsyncGenerator[Event, None], None]:
        """The events of the request's route, once it has a place."""
        async with self._admission.slot(asked.weight, asked.request.priority), self._routed(asked) as events:
            yield events

    async def _reply(self, exchange: Exchange, asked: Asked, events: AsyncGenerator[Event, None]) -> Finish:
        """Send the answer; returns what is left to send once the request has given its place back."""
        if asked.streamed is None:
            return await self._gather(exchange, asked, events)
        return await self._stream(exchange, asked.streamed, events)

    @asynccontextmanager
    async def place(self, exchange: Exchange, receive: Receive, weight: int) -> AsyncGenerator[None, None]:
        """Hold one place for an endpoint that asks more than once, as long as its client stays."""
        async with exchange.lifeline.watching(receive), self._admission.slot(weight, exchange.priority):
            yield

    async def gathered(self, asked: Asked, answer: WholeAnswer) -> tuple[Committed, Answered]:
        """Put the whole answer into `answer`; who answered, and the account of it."""
        async with self._routed(asked) as events:
            return await self._collected(events, answer)

    @asynccontextmanager
    async def _routed(self, asked: Asked) -> AsyncGenerator[AsyncGenerator[Event, None], None]:
        """The events of the request's route, which is aborted when the block is left early.

        Read them to the end: the ledger takes an answer whose events were left unread for abandoned.
        """
        dispatcher, request, model = self._dispatcher, traced(bounded(asked.request)), asked.model
        hold_tokens = None if asked.streamed is None else dispatcher.hold_tokens
        draft = dispatcher.head_start(request, hold_tokens, model)
        try:
            route = await dispatcher.route(request, model)
            leave_to_cascade()
            running = dispatcher.run(request, route, hold_tokens=hold_tokens, model=model, head_start=draft)
            async with aclosing(running) as events:
                yield events
        finally:
            if draft is not None:
                await draft.aclose()

    async def _stream(
        self,
        exchange: Exchange,
        streamed: Callable[[str], StreamedAnswer],
        events: AsyncGenerator[Event, None],
    ) -> Finish:
        """Send piece by piece. The headers leave when a model has committed itself, and not before."""
        committed = await _committed(events)
        exchange.model = committed.model
        answer = streamed(committed.model)
        await exchange.begin_stream(headers_of(committed, committed.spent_usd), answer.failure)
        opening, ending = answer.opening(), b""  # leaves with the first piece, which is here already
        async for event in events:
            if isinstance(event, Delta):
                if piece := answer.delta(event):
                    await exchange.write(opening + piece)
                    opening = b""
            elif isinstance(event, Answered):
                ending = answer.ending(event)
        return partial(exchange.end, opening + ending)

    async def _gather(self, exchange: Exchange, asked: Asked, events: AsyncGenerator[Event, None]) -> Finish:
        """Collect the whole answer before anything is sent."""
        answer = asked.whole()
        committed, account = await self._collected(events, answer)
        exchange.model = committed.model
        return partial(exchange.answer, 200, headers_of(committed, account.cost_usd), answer.body(account))

    async def _collected(
        self, events: AsyncGenerator[Event, None], answer: WholeAnswer
    ) -> tuple[Committed, Answered]:
        committed = await _committed(events)
        account: Answered | None = None
        async for event in events:
            if isinstance(event, Delta):
                answer.add(event)
            elif isinstance(event, Answered):
                account = event
        assert account is not None, "a route that committed ends with its account"
        return committed, account


def weight_of(body: bytes, *requests: Request) -> int:
    """Tokens that a call may take: its body at four bytes a token, and all that may be written."""
    return len(body) // 4 + sum(request.max_tokens * request.n for request in requests)


async def _committed(events: AsyncGenerator[Event, None]) -> Committed:
    """The first event of a route that runs."""
    event = await anext(events)
    assert isinstance(event, Committed), "a route commits before it says anything"
    return event
