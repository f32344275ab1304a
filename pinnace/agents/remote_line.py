"""A line to an endpoint over HTTP: a Pinnace, or any other server that speaks OpenAI's chat wire.

What goes wrong is raised as the line in this process would raise it. Knows connections, statuses and time;
what is sent and what comes back is `pinnace.agents.chat_wire`'s.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from pydantic import ValidationError

from pinnace.agents.chat_wire import (
    CHOICE_FIELD,
    Dialect,
    Reading,
    body_of,
    headers_of,
    members_of,
    settled_of,
)
from pinnace.agents.gathering import Gathering
from pinnace.agents.line import AUTO, Said
from pinnace.agents.remote_fault import Refusal, broken_off, refusal_of
from pinnace.agents.reply import Member, Reply
from pinnace.config import OpenAIMember
from pinnace.config.complaint import complaint_of
from pinnace.errors import BackendError, BackendTimeoutError, BackendUnavailableError, ConfigError
from pinnace.models.completion import Request
from pinnace.models.deadline import FOREVER, Watch, exceeded
from pinnace.models.event_stream import LINE_BYTES, EventStreamError, events
from pinnace.models.http import (
    Client,
    HttpConnectError,
    HttpConnectTimeoutError,
    HttpError,
    Response,
    parts_of,
)
from pinnace.models.openai_body import key_headers
from pinnace.models.openai_call import BYTES_PER_TOKEN, DONE
from pinnace.models.openai_fault import BODY_BYTES
from pinnace.models.retry_budget import retry_after_s
from pinnace.models.tool_turns import answer_choices

MOST_BYTES = 8 * 2**20
"""What a whole answer may have."""
WAITS = 2
"""How often a full endpoint's `Retry-After` is waited for."""
GRACE_S = 1.0
"""How long after a request's deadline the answer may take that the endpoint had in hand then."""

Ask = Callable[[Dialect], Awaitable[Response]]


class RemoteLine:
    """Asks an endpoint, over connections of its own: `aclose` it. See `pinnace.agents.line.Line`.

    :param base_url: as OpenAI's clients take it; an address without a path gets `/v1`.
    :param timeout_s: seconds that one call may take, however often the endpoint is asked for it.
    :raises ConfigError: when the address is none, or the key cannot travel in a header.
    """

    def __init__(self, base_url: str, api_key: str | None = None, timeout_s: float = 600.0) -> None:
        self._endpoint = endpoint = _endpoint_of(base_url, api_key)
        self._name = endpoint.base_url
        self._secret = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self._timeout_s = timeout_s
        self._dialect = Dialect()
        self._client = Client(
            endpoint.base_url,
            key_headers(endpoint),
            connect_s=endpoint.timeouts.connect_s,
            connections=endpoint.connections,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def complete(self, request: Request, model: str = AUTO) -> Reply:
        """The whole answer.

        :raises RequestError: when the request cannot be served as it is, or not for this key.
        :raises BackendUnavailableError: when the endpoint cannot be reached, is full, or broke off.
        :raises BackendTimeoutError: when it took too long.
        :raises BackendError: when what it sent is no answer, or larger than `MOST_BYTES`.
        """
        began = time.perf_counter()
        reading, gathering = Reading(self._name, request, model), Gathering(request.n)
        async with self._asked(request, model, is_stream=False) as (response, watch):
            body = await watch.wait(_whole(self._name, response))
        for delta in reading.whole(body):
            gathering.add(delta)
        account = reading.account(time.perf_counter() - began)
        return Reply(gathering.samples(), account)

    async def stream(self, request: Request, model: str = AUTO) -> AsyncGenerator[Said, None]:
        """Who answers, the pieces of it as they come, and last its account; raises as `complete` does."""
        began, reading = time.perf_counter(), Reading(self._name, request, model)
        async with (
            self._asked(request, model, is_stream=True) as (response, watch),
            aclosing(_until_done(response, watch, _most(request))) as found,
        ):
            if (settled := settled_of(response.headers)) is not None:
                yield settled
            async for event in found:
                piece = reading.piece(event)
                if piece.error is not None:
                    raise broken_off(self._name, piece.error, self._secret)
                for delta in reading.deltas(piece):
                    yield delta
        yield reading.account(time.perf_counter() - began)

    async def members(self) -> tuple[Member, ...]:
        """The models that the endpoint lists, the cheapest first; raises as `complete` does."""
        async with self._opened(self._get, (), FOREVER) as (response, watch):
            return members_of(self._name, await watch.wait(_whole(self._name, response)))

    @asynccontextmanager
    async def _asked(
        self, request: Request, model: str, *, is_stream: bool
    ) -> AsyncGenerator[tuple[Response, Watch], None]:
        """The answer to a chat request, still unread."""
        deadline = FOREVER if request.deadline is None else request.deadline
        if time.monotonic() >= deadline:
            raise exceeded(self._name)
        own = ("accept",) * (request.accept is not None) + (CHOICE_FIELD,) * bool(answer_choices(request))
        ask = partial(self._post, request, model, is_stream)
        async with self._opened(ask, own, deadline) as opened:
            yield opened

    @asynccontextmanager
    async def _opened(
        self, ask: Ask, own: Sequence[str], deadline: float
    ) -> AsyncGenerator[tuple[Response, Watch], None]:
        """The answer to what `ask` asks, once its status is known to be good.

        :param own: the fields that it sends and only a Pinnace knows.
        """
        latest = time.monotonic() + self._timeout_s
        until = min(latest, deadline + GRACE_S)
        watch = Watch(until)
        try:
            with self._translated(is_deadline=until < latest):
                response = await self._good(ask, own, watch, until)
                async with aclosing(response):
                    yield response, watch
        finally:
            watch.close()

    async def _good(self, ask: Ask, own: Sequence[str], watch: Watch, until: float) -> Response:
        """Ask, in other words where the endpoint knows no others, and again where it says when."""
        dialect, waits = self._dialect, 0
        while True:
            response = await watch.wait(ask(dialect))
            if response.status_code == 200:
                self._dialect = dialect
                return response
            refusal = await self._refusal(response, watch, (dialect.max_tokens_field, *own))
            wait_s = refusal.wait_s
            if (spoken := dialect.without(refusal.unknown)) != dialect:
                dialect = spoken
            elif wait_s is not None and waits < WAITS and time.monotonic() + wait_s < until:
                waits += 1
                await watch.wait(asyncio.sleep(wait_s))
            else:
                raise refusal.error

    async def _post(self, request: Request, model: str, is_stream: bool, dialect: Dialect) -> Response:
        body = body_of(self._endpoint, request, model, dialect, is_stream=is_stream)
        return await self._client.post("chat/completions", body, headers_of(request))

    async def _get(self, dialect: Dialect) -> Response:
        return await self._client.get("models", {})

    async def _refusal(self, response: Response, watch: Watch, fields: Sequence[str]) -> Refusal:
        """What an error status says, from no more of its body than tells it."""
        body = bytearray()
        async with aclosing(response):
            parts = parts_of(response)
            with suppress(HttpError):
                while len(body) <= BODY_BYTES and (part := await watch.wait(anext(parts, None))) is not None:
                    body += part
        headers, status, said = response.headers, response.status_code, bytes(body[:BODY_BYTES])
        is_final = headers.get("x-should-retry") == "false"
        wait_s = None if is_final else retry_after_s(headers.get("retry-after"), datetime.now(UTC))
        return refusal_of(self._name, status, said, self._secret, wait_s=wait_s, fields=fields)

    @contextmanager
    def _translated(self, *, is_deadline: bool) -> Generator[None, None, None]:
        """What goes wrong on the way, as errors of ours.

        :param is_deadline: whether it is the request's own time that ends first.
        """
        name = self._name
        try:
            yield
        except HttpConnectTimeoutError as error:
            raise BackendTimeoutError(f"{name}: no connection in time") from error
        except TimeoutError as error:
            late = BackendTimeoutError(f"{name}: no answer within {self._timeout_s:g} s")
            raise exceeded(name) if is_deadline else late from error
        except HttpConnectError as error:
            raise BackendUnavailableError(f"{name}: cannot be reached: {error}") from error
        except (HttpError, OSError) as error:
            said = f"{name}: the connection broke ({type(error).__name__})"
            raise BackendUnavailableError(said) from error
        except EventStreamError as error:
            raise BackendError(f"{name}: {error}") from None


def _endpoint_of(base_url: str, api_key: str | None) -> OpenAIMember:
    """The endpoint, checked as one of `router.yaml` is."""
    address = base_url.rstrip("/")
    if address.count("/") == len("//"):
        address += "/v1"
    fields = {"name": "endpoint", "backend": "openai", "base_url": address, "api_key": api_key, "model": AUTO}
    try:
        return OpenAIMember.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(complaint_of(error)) from None


def _most(request: Request) -> int:
    """Bytes that the stream of an answer may have."""
    return BYTES_PER_TOKEN * request.max_tokens * request.n + LINE_BYTES


async def _whole(name: str, response: Response) -> bytes:
    body = bytearray()
    async with aclosing(parts_of(response)) as parts:
        async for part in parts:
            body += part
            if len(body) > MOST_BYTES:
                raise BackendError(f"{name}: expected at most {MOST_BYTES} bytes, got more")
    return bytes(body)


async def _until_done(response: Response, watch: Watch, most: int) -> AsyncGenerator[bytes, None]:
    """What the events of a stream say, to its end or `[DONE]`."""
    async with aclosing(events(parts_of(response), most)) as found:
        while (said := await watch.wait(anext(found, None))) is not None:
            for event in said:
                if event == DONE:
                    return
                yield event
