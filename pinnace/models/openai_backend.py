"""A model behind any OpenAI-compatible server, over httpx, always streamed.

Tokens are counted by the remote server's own usage where it sends one; until then, and where it
never does, one content chunk counts as one token and four prompt characters as one. Nothing that the
server sends is trusted: it becomes deltas of the choices that were asked for, or a `BackendError`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

from pydantic import ValidationError

from pinnace.config import OpenAIMember, Timeouts
from pinnace.errors import BackendError, BackendTimeoutError, BackendUnavailableError, RequestError
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.event_stream import LINE_BYTES, EventStreamError, events
from pinnace.models.http import (
    Client,
    HttpConnectError,
    HttpConnectTimeoutError,
    HttpError,
    HttpTimeoutError,
    Response,
    make_client,
)
from pinnace.models.openai_chunk import Chunk
from pinnace.models.openai_fault import BODY_BYTES, error_of_event, error_of_status

BYTES_PER_TOKEN = 4096
"""What the wire may take for one token: its chunk, with twenty alternatives."""
LAST_WORDS_S = 2.0
"""How long to wait for the count, and for the end that lets the connection be used again."""
DONE = b"[DONE]"
_T = TypeVar("_T")


class _Patience:
    """Until when the server is waited for: for its first token, for the next one, for its last words."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._now = asyncio.get_running_loop().time
        self._what = f"no token within {timeouts.first_token_s:g} s"
        self._deadline = self._now() + timeouts.first_token_s

    def __str__(self) -> str:
        return self._what

    async def wait(self, work: Awaitable[_T]) -> _T:
        """What `work` comes to; raises `TimeoutError` at the deadline."""
        async with asyncio.timeout_at(self._deadline):
            return await work

    def renew(self) -> None:
        """A token came: now the next one is waited for."""
        self._what = f"nothing for {self._timeouts.stall_s:g} s"
        self._deadline = self._now() + self._timeouts.stall_s

    def end(self) -> None:
        """The answer is whole."""
        self._deadline = self._now() + LAST_WORDS_S


class OpenAIBackend:
    """Streams completions from `base_url`; the key leaves this object only in the request header."""

    def __init__(self, member: OpenAIMember, client: Client | None = None) -> None:
        self.card = card_of(member, backend="openai")
        self.running = 0
        self._member = member
        self._client = client or make_client(member.base_url, _headers(member), member.timeouts)
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = True

    async def start(self) -> None:
        """Nothing is loaded, and a remote server that is away now may be back later."""

    async def drain(self) -> None:
        """Let nothing new in, wait for what runs, and close the connections."""
        self._is_open = False
        await self._idle.wait()
        await self._client.aclose()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the remote answer's deltas; closing the iterator closes the connection.

        :raises BackendUnavailableError: not reachable, or it answered with an error status.
        :raises BackendTimeoutError: the first token or the next one took too long.
        :raises BackendError: what it sent is not the OpenAI wire, or it broke off.
        :raises ContextTooLongError: the prompt does not fit its context window.
        """
        finished: set[int] = set()
        patience = _Patience(self._member.timeouts)
        async with self._counted():
            try:
                with self._translated(patience):
                    async with aclosing(self._deltas(request, patience, finished)) as deltas:
                        async for delta in deltas:
                            yield delta
            except BackendError:
                if len(finished) < request.n:
                    raise
        if len(finished) < request.n:
            raise BackendError(
                f"{self.card.name}: broke off with {len(finished)} of {request.n} choices finished"
            )

    @asynccontextmanager
    async def _counted(self) -> AsyncGenerator[None, None]:
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

    @contextmanager
    def _translated(self, patience: "_Patience") -> Generator[None, None, None]:
        """What httpx raises, as errors of ours."""
        name = self.card.name
        try:
            yield
        except HttpConnectError as error:
            raise BackendUnavailableError(f"{name}: cannot be reached: {error}") from error
        except HttpConnectTimeoutError as error:
            seconds = self._member.timeouts.connect_s
            raise BackendTimeoutError(f"{name}: cannot be reached within {seconds:g} s") from error
        except (HttpTimeoutError, TimeoutError) as error:
            raise BackendTimeoutError(f"{name}: {patience}") from error
        except (HttpError, OSError) as error:
            what = type(error).__name__
            raise BackendUnavailableError(f"{name}: the connection broke ({what})") from error
        except EventStreamError as error:
            raise BackendError(f"{name}: {error}") from None

    async def _deltas(
        self, request: Request, patience: "_Patience", finished: set[int]
    ) -> AsyncGenerator[Delta, None]:
        """The deltas of the choices asked for; `finished` gathers those that have finished."""
        usage = Usage(prompt_tokens=sum(len(m.content) for m in request.messages) // 4)
        async with self._opened(request, patience) as found:
            while len(finished) < request.n:
                event = await patience.wait(anext(found, None))
                if event is None or event == DONE:
                    return
                chunk = self._decode(event)
                usage = chunk.count(usage)
                for delta in self._checked(chunk.deltas(usage), request.n):
                    if delta.finish_reason is not None:
                        finished.add(delta.index)
                    yield delta
                    patience.renew()
            patience.end()
            while (event := await patience.wait(anext(found, None))) is not None:
                if event != DONE and (chunk := self._decode(event)).usage is not None:
                    yield Delta(usage=chunk.count(usage))

    @asynccontextmanager
    async def _opened(
        self, request: Request, patience: "_Patience"
    ) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        """The events of the remote answer, once its status is known to be good."""
        post = self._client.build_request(
            "POST",
            "chat/completions",
            content=_encoded(self._body(request)),
            headers={"content-type": "application/json"},
        )
        response = await patience.wait(self._client.send(post, stream=True))
        async with aclosing(response):
            if response.status_code != 200:
                raise await self._refusal(response, patience)
            most = BYTES_PER_TOKEN * request.max_tokens * request.n + LINE_BYTES
            async with aclosing(events(response.aiter_raw(), most)) as found:
                yield found

    async def _refusal(self, response: Response, patience: "_Patience") -> Exception:
        """What an error status says, from no more of its body than tells it."""
        body = bytearray()
        parts = response.aiter_raw()
        with suppress(HttpError, TimeoutError):
            while len(body) < BODY_BYTES and (part := await patience.wait(anext(parts, None))):
                body += part
        return error_of_status(self.card.name, response.status_code, bytes(body[:BODY_BYTES]), self._secret())

    def _decode(self, event: bytes) -> Chunk:
        try:
            chunk = Chunk.model_validate_json(event)
        except ValidationError:
            raise BackendError(f"{self.card.name}: expected OpenAI's chunks, got something else") from None
        if chunk.error is not None:
            raise error_of_event(self.card.name, chunk.error, self._secret())
        return chunk

    def _checked(self, deltas: Iterable[Delta], n: int) -> Iterator[Delta]:
        for delta in deltas:
            if not 0 <= delta.index < n:
                raise BackendError(f"{self.card.name}: expected choices 0 to {n - 1}, got {delta.index}")
            yield delta

    def _secret(self) -> str:
        return self._member.api_key.get_secret_value() if self._member.api_key else ""

    def _body(self, request: Request) -> dict[str, Any]:
        configured = self._member.sampling.model_dump(exclude_unset=True)
        body: dict[str, Any] = {
            "model": self._member.model,
            "messages": [_wire(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens,
            "n": request.n,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stop": list(request.stop) or None,
            "presence_penalty": request.presence_penalty or None,
            "frequency_penalty": request.frequency_penalty or None,
            "tools": list(request.tools) or None,
            "tool_choice": request.tool_choice,
            "response_format": request.response_format,
        }
        if request.top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return configured | {key: value for key, value in body.items() if value is not None}


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError:
        raise RequestError("expected numbers that JSON has, got one that is not finite") from None


def _headers(member: OpenAIMember) -> dict[str, str]:
    if member.api_key is None:
        return {}
    return {"Authorization": f"Bearer {member.api_key.get_secret_value()}"}


def _wire(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content, **message.extra}
