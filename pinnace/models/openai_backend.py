"""A model behind any OpenAI-compatible server, over httpx, always streamed.

Tokens are counted by the remote server's own usage where it sends one; until then, and where it
never does, one content chunk counts as one token and four prompt characters as one. What fails before
its first token may be asked again, within a budget; what fails again and again is left alone for a while.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager

from pinnace.config import OpenAIMember
from pinnace.errors import BackendUnavailableError
from pinnace.models.breaker import Breaker, State
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Request
from pinnace.models.http import Client
from pinnace.models.openai_body import key_headers
from pinnace.models.openai_call import Call
from pinnace.models.openai_fault import AttemptError
from pinnace.models.retry_budget import RetryBudget, backoff_s

_OTHER_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


class OpenAIBackend:
    """Streams completions from `base_url`; the key leaves this object only in the request header.

    `running` counts open streams, `attempts` what was sent to the server and `retries` those among them
    that were sent again.
    """

    def __init__(self, member: OpenAIMember, client: Client | None = None) -> None:
        self.card = card_of(member, backend="openai")
        self.running = self.attempts = self.retries = 0
        self._member = member
        self._client = client or Client(
            member.base_url,
            key_headers(member),
            connect_s=member.timeouts.connect_s,
            connections=member.connections,
        )
        self._breaker = Breaker(member.breaker, time.monotonic)
        self._budget = RetryBudget(member.retries, time.monotonic)
        self._max_tokens_field: str = member.max_tokens_field
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = True

    def breaker_state(self) -> State:
        """Whether the server is asked ("closed"), left alone ("open"), or tried with one request."""
        return self._breaker.state()

    async def start(self) -> None:
        """Nothing is loaded, and a remote server that is away now may be back later."""

    async def drain(self) -> None:
        """Let nothing new in, wait for what runs, and close the connections."""
        self._is_open = False
        await self._idle.wait()
        await self._client.aclose()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the remote answer's deltas; closing the iterator closes the connection.

        :raises BackendUnavailableError: not reachable, it answered with an error status, or it is left alone.
        :raises BackendTimeoutError: the first token or the next one took too long.
        :raises BackendError: what it sent is not the OpenAI wire, or it broke off.
        :raises ContextTooLongError: the prompt does not fit its context window.
        """
        with self._counted():
            self._budget.asked()
            for retry in itertools.count():
                try:
                    async with aclosing(self._attempt(request)) as deltas:
                        async for delta in deltas:
                            yield delta
                    return
                except AttemptError as fault:
                    wait = self._wait_before(retry, fault, request.deadline)
                    if wait is None:
                        raise fault.error from fault.__cause__
                await asyncio.sleep(wait)

    async def _attempt(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Ask once; the fault of an answer that had begun is no transient one."""
        visit = self._breaker.enter()
        if visit is None:
            raise AttemptError(self._left_alone())
        self.attempts += 1
        has_spoken = False
        try:
            call = Call(self._member, self._client, request, self._max_tokens_field)
            async with aclosing(call.deltas()) as deltas:
                async for delta in deltas:
                    if not has_spoken:
                        has_spoken = True
                        visit.succeeded()
                    yield delta
        except AttemptError as fault:
            if fault.is_alive:
                visit.succeeded()
            else:
                visit.broke()
            fault.is_transient = fault.is_transient and not has_spoken
            raise
        finally:
            visit.ended()

    def _wait_before(self, retry: int, fault: AttemptError, deadline: float | None) -> float | None:
        """Seconds to wait before asking again; None where that is not to be."""
        if fault.field is not None and self._calls_otherwise(fault.field):
            return 0.0
        settings = self._member.retries
        asked_for = fault.retry_after_s or 0.0
        wait = asked_for + backoff_s(retry, settings, random.random())  # noqa: S311 - spreads clients, no secret
        if (
            not fault.is_transient
            or retry >= settings.most
            or asked_for > settings.longest_retry_after_s
            or (deadline is not None and time.monotonic() + wait >= deadline)
            or self._breaker.state() == "open"
            or not self._budget.take()
        ):
            return None
        self.retries += 1
        return wait

    def _calls_otherwise(self, refused: str) -> bool:
        """Whether the cap on an answer has another name than the refused one, which is tried once."""
        if self._max_tokens_field == refused == self._member.max_tokens_field:
            self._max_tokens_field = _OTHER_FIELD[refused]
        return self._max_tokens_field != refused

    def _left_alone(self) -> BackendUnavailableError:
        rest = self._breaker.rest_left()
        until = f"for {rest:.1f} s more" if rest else "until one request has shown that it works again"
        return BackendUnavailableError(f"{self.card.name}: left alone {until}, since it kept failing")

    @contextmanager
    def _counted(self) -> Generator[None, None, None]:
        if not self._is_open:
            raise BackendUnavailableError(f"{self.card.name}: is shut down")
        self.running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.running -= 1
            if self.running == 0:
                self._idle.set()
