"""`POST /v1/embeddings`: vectors of texts, by the router's embedder or a configured one.

Texts go through the embedder's own queue, a lot at a time, beside those of routing decisions. Knows the
wire; `pinnace.router.embedders` makes the vectors.
"""

import asyncio

from starlette.types import Receive, Scope, Send

from pinnace.errors import ContextTooLongError, RequestError
from pinnace.router.embedders import Embedders
from pinnace.router.types import FloatArray
from pinnace.router.vectors import normalised
from pinnace.server.asking import Asker, weight_of
from pinnace.server.embedding_wire import EmbeddingRequest, embeddings_body
from pinnace.server.exchange import exchange_of
from pinnace.server.generation import parsed, too_large


class Embeddings:
    """The endpoint as an ASGI application of its own."""

    def __init__(self, asker: Asker, embedders: Embedders) -> None:
        self._asker = asker
        self._embedders = embedders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        body = await self._asker.read(scope, receive)
        asked = parsed(body, EmbeddingRequest)
        asked.check(self._asker.limits)
        self._check_dimensions(asked)
        weight = weight_of(body)
        self._asker.permit(exchange, asked.model, weight)
        async with self._asker.place(exchange, receive, weight):
            vectors, tokens = await self._embed(asked)
            answer = await asyncio.to_thread(embeddings_body, asked, vectors, tokens)
        exchange.model = asked.model
        await exchange.answer(200, (), answer)

    def _check_dimensions(self, asked: EmbeddingRequest) -> None:
        """Refuse more dimensions than there are; an unknown model as well."""
        dim = self._embedders.dim(asked.model)
        if asked.dimensions is not None and asked.dimensions > dim:
            raise too_large("dimensions", dim, asked.dimensions)

    async def _embed(self, asked: EmbeddingRequest) -> tuple[FloatArray, int]:
        """The vectors as they are sent: cut to the dimensions asked for, and of length one again."""
        try:
            vectors, tokens = await self._embedders.embed(asked.model, asked.input)
        except ContextTooLongError as error:
            raise _of_one_text(error, asked) from None
        if asked.dimensions is not None:
            vectors = normalised(vectors[:, : asked.dimensions])
        return vectors, tokens


def _of_one_text(error: ContextTooLongError, asked: EmbeddingRequest) -> RequestError:
    """The same error; a single text that was no list is `input`, not `input[0]`."""
    if len(asked.input) > 1:
        return error
    message = str(error).replace("input[0]", "input", 1)
    return ContextTooLongError(message, param="input", code=error.code)
