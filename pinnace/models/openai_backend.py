"""A model behind any OpenAI-compatible server, over httpx, always streamed.

Tokens are counted by the remote server's own usage where it sends one; until then, and where it
never does, one content chunk counts as one token and four prompt characters as one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic import ValidationError

from pinnace.config import OpenAIMember
from pinnace.errors import BackendError, BackendTimeoutError, BackendUnavailableError
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.http import Client, HttpError, HttpTimeoutError, Response, make_client
from pinnace.models.openai_chunk import Chunk


class OpenAIBackend:
    """Streams completions from `base_url`; the key leaves this object only in the request header."""

    def __init__(self, member: OpenAIMember, client: Client | None = None) -> None:
        self.card = card_of(member, backend="openai")
        self._member = member
        self._client = client or make_client(member.base_url, _headers(member), member.timeouts)

    async def start(self) -> None:
        """Nothing is loaded, and a remote server that is away now may be back later."""

    async def drain(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the remote answer's deltas; closing the iterator closes the connection.

        :raises BackendUnavailableError: not reachable, or it answered with an error status.
        :raises BackendTimeoutError: the first token or the next one took too long.
        :raises BackendError: what it sent is not the OpenAI wire, or it broke off.
        """
        usage = Usage(prompt_tokens=sum(len(m.content) for m in request.messages) // 4)
        finished: set[int] = set()
        try:
            async with self._client.stream("POST", "chat/completions", json=self._body(request)) as response:
                await self._check(response)
                async for chunk in self._chunks(response):
                    usage = chunk.count(usage)
                    for delta in chunk.deltas(usage):
                        if delta.finish_reason is not None:
                            finished.add(delta.index)
                        yield delta
        except (HttpTimeoutError, TimeoutError) as error:
            raise BackendTimeoutError(f"{self.card.name}: timed out ({_describe(error)})") from error
        except HttpError as error:
            raise BackendUnavailableError(f"{self.card.name}: {_describe(error)}") from error
        if len(finished) != request.n:
            raise BackendError(
                f"{self.card.name}: broke off with {len(finished)} of {request.n} choices finished"
            )

    async def _chunks(self, response: Response) -> AsyncIterator[Chunk]:
        """The decoded `data:` events up to `[DONE]`, each in time."""
        lines = response.aiter_lines()
        patience = self._member.timeouts.first_token_s
        while True:
            try:
                async with asyncio.timeout(patience):
                    line = await anext(lines)
            except StopAsyncIteration:
                return
            if line.startswith("data:"):
                if line[5:].strip() == "[DONE]":
                    return
                patience = self._member.timeouts.stall_s
                yield self._decode(line[5:])

    def _decode(self, event: str) -> Chunk:
        try:
            chunk = Chunk.model_validate_json(event)
        except ValidationError:
            raise BackendError(f"{self.card.name}: expected an OpenAI chunk, got {event[:80]!r}") from None
        if chunk.error is not None:
            raise BackendError(f"{self.card.name}: broke off with {str(chunk.error)[:200]}")
        return chunk

    async def _check(self, response: Response) -> None:
        if response.status_code != 200:
            body = (await response.aread())[:200].decode(errors="replace")
            raise BackendUnavailableError(f"{self.card.name}: answered {response.status_code}: {body}")

    def _body(self, request: Request) -> dict[str, Any]:
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
        return {key: value for key, value in body.items() if value is not None}


def _headers(member: OpenAIMember) -> dict[str, str]:
    if member.api_key is None:
        return {}
    return {"Authorization": f"Bearer {member.api_key.get_secret_value()}"}


def _wire(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content, **message.extra}


def _describe(error: Exception) -> str:
    """What went wrong, without the address: a base URL can carry a secret."""
    return type(error).__name__
