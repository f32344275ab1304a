"""One attempt at one request of an OpenAI-compatible server: send it, and read its answer as deltas.

Nothing that the server sends is trusted: it becomes deltas of the choices that were asked
for, or an `AttemptError`.
Knows nothing of retries.
"""

import time
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime

from pydantic import ValidationError

from pinnace.config import OpenAIMember, Timeouts
from pinnace.errors import BackendError, BackendTimeoutError, BackendUnavailableError, ContextTooLongError
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.deadline import Watch
from pinnace.models.event_stream import LINE_BYTES, EventStreamError, events
from pinnace.models.http import (
    Client,
    HttpConnectError,
    HttpConnectTimeoutError,
    HttpError,
    Response,
    parts_of,
)
from pinnace.models.openai_body import body_of
from pinnace.models.openai_chunk import Chunk
from pinnace.models.openai_fault import BODY_BYTES, AttemptError, error_of_event, fault_of_status
from pinnace.models.retry_budget import retry_after_s

BYTES_PER_TOKEN = 4096
"""What the wire may take for one token: its chunk, with twenty alternatives."""
LAST_WORDS_S = 2.0
"""How long to wait for the count, and for the end that lets the connection be used again."""
DONE = b"[DONE]"
_JSON = {"content-type": "application/json"}


class Patience(Watch):
    """Until when the server is waited for: for its first token, for the next one, for its last words."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(time.monotonic() + timeouts.first_token_s)
        self._timeouts = timeouts
        self._what = f"no token within {timeouts.first_token_s:g} s"

    def __str__(self) -> str:
        return self._what

    def renew(self) -> None:
        """A token came: now the next one is waited for."""
        self._what = f"nothing for {self._timeouts.stall_s:g} s"
        self.put_off(time.monotonic() + self._timeouts.stall_s)

    def end(self) -> None:
        """The answer is whole."""
        self.put_off(time.monotonic() + LAST_WORDS_S)


def joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """The same, with what follows on the same choice in one piece; an error comes after what was said."""
    held: Delta | None = None
    try:
        for delta in deltas:
            if held is not None and held.index == delta.index and held.finish_reason is None:
                held = Delta(
                    held.text + delta.text,
                    delta.index,
                    held.logprobs + delta.logprobs,
                    delta.finish_reason,
                    delta.usage or held.usage,
                    (*held.tool_calls, *delta.tool_calls),
                )
                continue
            if held is not None:
                yield held
            held = delta
    except (BackendError, AttemptError):
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


class Call:
    """One attempt. `max_tokens_field` is what the cap on the answer is called."""

    def __init__(self, member: OpenAIMember, client: Client, request: Request, max_tokens_field: str) -> None:
        self._member = member
        self._client = client
        self._request = request
        self._max_tokens_field = max_tokens_field
        self._finished: set[int] = set()
        self._has_headers = False
        self._has_ended = False
        self._usage = Usage()

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """Yield the answer's deltas; closing the iterator closes the connection.

        :raises AttemptError: where there is no whole answer; whatever it does once all is said is let pass.
        :raises RequestError: where the request cannot be sent.
        """
        patience = Patience(self._member.timeouts)
        try:
            with self._translated(patience):
                async with aclosing(self._read(patience)) as deltas:
                    async for delta in deltas:
                        yield delta
        except AttemptError:
            if not self._is_whole():
                raise
        finally:
            patience.close()
        if not self._is_whole():
            finished, n = len(self._finished), self._request.n
            raise AttemptError(
                BackendError(f"{self._member.name}: broke off with {finished} of {n} choices finished")
            )

    def _is_whole(self) -> bool:
        return len(self._finished) >= self._request.n

    @contextmanager
    def _translated(self, patience: Patience) -> Generator[None, None, None]:
        """What goes wrong on the way, as faults of ours."""
        name = self._member.name
        try:
            yield
        except HttpConnectError as error:
            said = BackendUnavailableError(f"{name}: cannot be reached: {error}")
            raise AttemptError(said, is_transient=True) from error
        except HttpConnectTimeoutError as error:
            seconds = self._member.timeouts.connect_s
            said = BackendTimeoutError(f"{name}: cannot be reached within {seconds:g} s")
            raise AttemptError(said, is_transient=True) from error
        except TimeoutError as error:
            raise AttemptError(BackendTimeoutError(f"{name}: {patience}")) from error
        except (HttpError, OSError) as error:
            said = BackendUnavailableError(f"{name}: the connection broke ({type(error).__name__})")
            raise AttemptError(said, is_transient=not self._has_headers) from error
        except EventStreamError as error:
            raise AttemptError(BackendError(f"{name}: {error}")) from None
        except ContextTooLongError as error:
            raise AttemptError(error, is_alive=True) from None
        except BackendError as error:
            raise AttemptError(error) from None

    async def _read(self, patience: Patience) -> AsyncGenerator[Delta, None]:
        """The deltas of the choices asked for."""
        self._usage = Usage(prompt_tokens=sum(len(m.content) for m in self._request.messages) // 4)
        async with self._opened(patience) as found:
            while (events := await patience.wait(anext(found, None))) is not None:
                deltas = self._said(events)
                for delta in joined(deltas) if self._request.is_read_whole else deltas:
                    yield delta
                    patience.renew()
                if self._is_whole():
                    patience.end()
                elif self._has_ended:
                    return

    def _said(self, events: Iterable[bytes]) -> Iterator[Delta]:
        """What events that came together add: once the answer is whole, nothing but a count."""
        for event in events:
            if event == DONE:
                self._has_ended = True
                if not self._is_whole():
                    return
                continue
            chunk = self._decode(event)
            if self._is_whole():
                if chunk.usage is not None:
                    yield Delta(usage=chunk.count(self._usage))
                continue
            self._usage = chunk.count(self._usage)
            for delta in self._checked(chunk.deltas(self._usage)):
                if delta.finish_reason is not None:
                    self._finished.add(delta.index)
                yield delta

    @asynccontextmanager
    async def _opened(self, patience: Patience) -> AsyncGenerator[AsyncGenerator[list[bytes], None], None]:
        """The events of the remote answer, once its status is known to be good."""
        request = self._request
        body = body_of(self._member, request, self._max_tokens_field)
        headers = _JSON | dict(request.trace_headers)
        response = await patience.wait(self._client.post("chat/completions", body, headers))
        self._has_headers = True
        async with aclosing(response):
            if response.status_code != 200:
                raise await self._refusal(response, patience)
            most = BYTES_PER_TOKEN * request.max_tokens * request.n + LINE_BYTES
            async with aclosing(events(parts_of(response), most)) as found:
                yield found

    async def _refusal(self, response: Response, patience: Patience) -> AttemptError:
        """What an error status says, from no more of its body than tells it."""
        body = bytearray()
        parts = parts_of(response)
        with suppress(HttpError, TimeoutError):
            while len(body) <= BODY_BYTES and (part := await patience.wait(anext(parts, None))) is not None:
                body += part
        return fault_of_status(
            self._member.name,
            response.status_code,
            bytes(body[:BODY_BYTES]),
            self._secret(),
            retry_after_s=retry_after_s(response.headers.get("retry-after"), datetime.now(UTC)),
            max_tokens_field=self._max_tokens_field,
        )

    def _decode(self, event: bytes) -> Chunk:
        name = self._member.name
        try:
            chunk = Chunk.model_validate_json(event)
        except ValidationError:
            raise BackendError(f"{name}: expected OpenAI's chunks, got something else") from None
        if chunk.error is not None:
            raise error_of_event(name, chunk.error, self._secret())
        return chunk

    def _checked(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        name, n = self._member.name, self._request.n
        for delta in deltas:
            if not 0 <= delta.index < n:
                raise BackendError(f"{name}: expected choices 0 to {n - 1}, got {delta.index}")
            yield delta

    def _secret(self) -> str:
        return self._member.api_key.get_secret_value() if self._member.api_key else ""
