"""`POST /v1/completions`: what is asked, and how its answer is written.

A prompt is text to go on with: a local model continues it as it stands, without its chat template. A
remote member speaks only chat, and is given it as one user turn. Knows the wire; `pinnace.server.asking`
does the rest.
"""

import time
import uuid
from collections.abc import Sequence
from functools import partial

from starlette.types import Receive, Scope, Send

from pinnace.models.completion import Request
from pinnace.models.together import together
from pinnace.router.answer import Answered
from pinnace.server.asking import Asked, Asker, weight_of
from pinnace.server.exchange import Exchange, exchange_of
from pinnace.server.generation import parsed
from pinnace.server.headers import headers_of_several
from pinnace.server.text_answer import TextChunks, TextCompletion, several
from pinnace.server.text_wire import TextRequest


class TextCompletions:
    """The endpoint as an ASGI application of its own."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        body = await self._asker.read(scope, receive)
        text = parsed(body, TextRequest)
        completion_id, created = f"cmpl-{uuid.uuid4().hex}", int(time.time())
        requests = text.to_requests(self._asker.limits, completion_id)
        share = body[: len(body) // len(requests)]
        asked = [_asked(text, request, created, share) for request in requests]
        if len(asked) == 1:
            await self._asker.answer(exchange, receive, asked[0])
            return
        asked = [self._asker.claimed(exchange, each) for each in asked]
        async with self._asker.place(exchange, receive, weight_of(body, *requests)):
            found = await self._answers(asked)
        await _send(exchange, completion_id, created, found)

    async def _answers(self, asked: Sequence[Asked]) -> list[tuple[TextCompletion, Answered]]:
        """All prompts at once; the first that fails ends the others."""
        return await together([self._answer(each) for each in asked])

    async def _answer(self, asked: Asked) -> tuple[TextCompletion, Answered]:
        answer = asked.whole()
        assert isinstance(answer, TextCompletion)
        _, account = await self._asker.gathered(asked, answer)
        return answer, account


async def _send(
    exchange: Exchange, completion_id: str, created: int, found: Sequence[tuple[TextCompletion, Answered]]
) -> None:
    accounts = [account for _, account in found]
    models = ",".join(dict.fromkeys(account.model for account in accounts))
    exchange.model = accounts[0].model
    await exchange.answer(200, headers_of_several(accounts), several(completion_id, created, found, models))


def _asked(text: TextRequest, request: Request, created: int, body: bytes) -> Asked:
    prompt, top = request.messages[0].content, request.top_logprobs
    chunks = partial(TextChunks, request.id, created, prompt, logprobs=top, with_usage=text.wants_usage)
    whole = partial(TextCompletion, request.id, created, prompt, choices=request.n, logprobs=top)
    return Asked(request, text.model, weight_of(body, request), whole, chunks if text.stream else None)
