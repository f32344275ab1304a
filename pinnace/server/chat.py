"""`POST /v1/chat/completions`: parse, admit, route, run, render.

Knows the wire and the dispatcher. Errors are raised, and answered at the edge (`pinnace.server.app`).
"""

import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

from starlette.types import Receive, Scope, Send

from pinnace.config import Limits
from pinnace.models.completion import Delta, Request
from pinnace.router.answer import Answered, Committed, Event
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admission import Admission
from pinnace.server.body import read_body
from pinnace.server.chunks import Chunks
from pinnace.server.completion import Completion
from pinnace.server.envelope import RETRY_SOON_S, refused
from pinnace.server.exchange import Exchange, exchange_of
from pinnace.server.headers import headers_of
from pinnace.server.metrics import Metrics
from pinnace.server.wire import ChatRequest, parse_chat


class ChatCompletions:
    """The endpoint as an ASGI application of its own."""

    def __init__(
        self, dispatcher: Dispatcher, admission: Admission, limits: Limits, metrics: Metrics
    ) -> None:
        self._dispatcher = dispatcher
        self._admission = admission
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        self._check_open()
        body = await read_body(scope, receive, self._limits.body_bytes)
        chat = parse_chat(body)
        request = chat.to_request(self._limits, f"chatcmpl-{uuid.uuid4().hex}")
        async with (
            exchange.lifeline.watching(receive),
            self._admission.slot(weight_of(body, request)),
            self._routed(chat, request) as events,
        ):
            finish = await self._reply(exchange, chat, request, events)
        await finish()

    def _check_open(self) -> None:
        """Refuse early what would be refused anyway, before its body is read."""
        self._admission.check()
        if not self._dispatcher.fleet.is_ready():
            raise refused(503, "The fleet is not ready yet.", code="not_ready", retry_after=RETRY_SOON_S)

    @asynccontextmanager
    async def _routed(
        self, chat: ChatRequest, request: Request
    ) -> AsyncGenerator[AsyncGenerator[Event, None], None]:
        """The events of the request's route, which is aborted when the block is left early.

        Read them to the end: the ledger takes an answer whose events were left unread for abandoned.
        """
        dispatcher = self._dispatcher
        hold_tokens = dispatcher.hold_tokens if chat.stream else None
        draft = dispatcher.head_start(request, hold_tokens, chat.model)
        try:
            route = await dispatcher.route(request, chat.model)
            self._metrics.decided(route.decision_s)
            running = dispatcher.run(
                request, route, hold_tokens=hold_tokens, model=chat.model, head_start=draft
            )
            async with aclosing(running) as events:
                yield events
        finally:
            if draft is not None:
                await draft.aclose()

    async def _reply(
        self, exchange: Exchange, chat: ChatRequest, request: Request, events: AsyncGenerator[Event, None]
    ) -> Callable[[], Awaitable[None]]:
        """Send the answer; returns what is left to send once the request has given its place back."""
        if chat.stream:
            return await self._stream(exchange, chat, request, events)
        return await self._gather(exchange, request, events)

    async def _stream(
        self, exchange: Exchange, chat: ChatRequest, request: Request, events: AsyncGenerator[Event, None]
    ) -> Callable[[], Awaitable[None]]:
        """Send chunk by chunk. The headers leave when a model has committed itself, and not before."""
        committed = await _committed(events)
        exchange.model = committed.model
        chunks = Chunks(
            request.id,
            int(time.time()),
            committed.model,
            top_logprobs=request.top_logprobs,
            with_usage=chat.wants_usage,
        )
        await exchange.begin_stream(headers_of(committed, committed.spent_usd))
        await exchange.write(chunks.opening(request.n))
        self._metrics.streaming(exchange.elapsed())
        ending = b""
        async for event in events:
            if isinstance(event, Delta):
                if chunk := chunks.delta(event):
                    await exchange.write(chunk)
            elif isinstance(event, Answered):
                self._metrics.answered(event)
                ending = chunks.ending(event)
        return partial(exchange.end, ending)

    async def _gather(
        self, exchange: Exchange, request: Request, events: AsyncGenerator[Event, None]
    ) -> Callable[[], Awaitable[None]]:
        """Collect the whole answer before anything is sent."""
        committed = await _committed(events)
        exchange.model = committed.model
        answer = Completion(
            request.id, int(time.time()), choices=request.n, top_logprobs=request.top_logprobs
        )
        account: Answered | None = None
        async for event in events:
            if isinstance(event, Delta):
                answer.add(event)
            elif isinstance(event, Answered):
                account = event
        assert account is not None, "a route that committed ends with its account"
        self._metrics.answered(account)
        headers = headers_of(committed, account.cost_usd)
        return partial(exchange.answer, 200, headers, answer.body(account))


def weight_of(body: bytes, request: Request) -> int:
    """Tokens that a request may take: its body at four bytes a token, and all it may write."""
    return len(body) // 4 + request.max_tokens * request.n


async def _committed(events: AsyncGenerator[Event, None]) -> Committed:
    """The first event of a route that runs."""
    event = await anext(events)
    assert isinstance(event, Committed), "a route commits before it says anything"
    return event
