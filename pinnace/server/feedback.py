"""`POST /v1/feedback`: how good a served answer was, for `pinnace fit` and `grow` to learn from.

The same that `pinnace rate` writes down: the last rating counts, so that sending one twice changes
nothing. Knows nothing of how it is learnt from.
"""

import asyncio
from typing import Literal

from pydantic import Field, model_validator
from starlette.types import Receive, Scope, Send

from pinnace.config import Limits
from pinnace.router.dispatch import Dispatcher
from pinnace.server.body import check_shape, read_body
from pinnace.server.caller import Caller
from pinnace.server.completion import to_json
from pinnace.server.envelope import Envelope, RefusedError
from pinnace.server.exchange import exchange_of
from pinnace.server.generation import parsed
from pinnace.server.shapes import Shape, wrong

_SCORES = {"up": 1.0, "down": 0.0}


class Rating(Shape):
    """A rating of the answer `id`: a score from 0 (useless) to 1 (right), or a thumb.

    A comment may quote the answer, so it is kept only where the ledger stores text.
    """

    id: str = Field(min_length=1, max_length=128)
    score: float | None = Field(default=None, ge=0, le=1)
    rating: Literal["up", "down"] | None = None
    comment: str | None = Field(default=None, max_length=2_000)

    @model_validator(mode="after")
    def _says_it_once(self) -> "Rating":
        if (self.score is None) == (self.rating is None):
            raise wrong("expected either score or rating")
        return self

    def value(self) -> float:
        """The rating as a score."""
        return _SCORES[self.rating] if self.rating is not None else self.score or 0.0


class Feedback:
    """The endpoint as an ASGI application of its own."""

    def __init__(self, dispatcher: Dispatcher, limits: Limits) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, self._limits.body_bytes)
        check_shape(body, self._limits)
        rating = parsed(body, Rating)
        ledger, exchange = self._dispatcher.ledger, exchange_of(scope)
        asker = None if ledger is None else await asyncio.to_thread(ledger.asker_of, rating.id)
        if ledger is None or asker is None or not _may_rate(exchange.caller, asker):
            raise _unknown(rating.id)
        ledger.rate(rating.id, rating.value(), rating.comment)
        body = {"object": "feedback", "id": rating.id, "score": rating.value()}
        await exchange.answer(200, (), to_json(body).encode())


def _may_rate(caller: Caller | None, asker: str) -> bool:
    """Whether `caller` may rate what the key called `asker` asked; at an open endpoint anybody may."""
    return caller is None or not caller.name or caller.name == asker


def _unknown(answer_id: str) -> RefusedError:
    message = f"id: no answer {answer_id!r} is in this server's ledger"
    return RefusedError(Envelope(404, message, "invalid_request_error", "answer_not_found", "id"))
