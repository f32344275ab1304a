"""`POST /v1/chat/completions`: what is asked, and how its answer is written.

Knows the wire; `pinnace.server.asking` does the rest.
"""

import os
import time
from functools import partial

from starlette.types import Receive, Scope, Send

from pinnace.models.completion import Request
from pinnace.router.dispatch import Dispatcher
from pinnace.server.asking import Asked, Asker
from pinnace.server.chunks import Chunks
from pinnace.server.completion import Completion
from pinnace.server.diverse_chat import DiverseChat
from pinnace.server.exchange import exchange_of
from pinnace.server.wire import ChatRequest, parse_chat


class ChatCompletions:
    """The endpoint as an ASGI application of its own."""

    def __init__(self, asker: Asker, dispatcher: Dispatcher) -> None:
        self._asker = asker
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._asker.read(scope, receive)
        chat = parse_chat(body)
        request = chat.to_request(self._asker.limits, f"chatcmpl-{os.urandom(16).hex()}")
        wish = chat.wish(self._asker.limits)
        if wish is None:
            weight = self._asker.weight(body, request, chat.model)
            await self._asker.answer(exchange_of(scope), receive, _asked(chat, request, weight))
            return
        weight = len(body) // 4 + wish.most * request.max_tokens
        several = DiverseChat(self._asker, self._dispatcher, request, chat.model, weight)
        await several.answer(exchange_of(scope), receive, wish, int(time.time()))


def _asked(chat: ChatRequest, request: Request, weight: int) -> Asked:
    created, top = int(time.time()), request.top_logprobs
    chunks = partial(
        Chunks, request.id, created, top_logprobs=top, with_usage=chat.wants_usage, choices=request.n
    )
    whole = partial(Completion, request.id, created, choices=request.n, top_logprobs=top)
    return Asked(request, chat.model, weight, whole, chunks if chat.stream else None)
