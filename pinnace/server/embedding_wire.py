"""The body of `POST /v1/embeddings`, and its answer. Token ids are refused by name."""

import base64
import json
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from pinnace.config import Limits
from pinnace.router.types import FloatArray
from pinnace.server.generation import too_large
from pinnace.server.shapes import Shape
from pinnace.server.texts import Texts, several_texts

DIGITS = 8
"""Decimals of a number in an answer: more than a 32-bit float has."""


def _is_token_ids(text: object) -> bool:
    """A token id, or a list of whatever."""
    return isinstance(text, int | list)


class EmbeddingRequest(Shape):
    """A request for embeddings, in OpenAI's fields."""

    model: str = Field(min_length=1, max_length=256)
    input: Annotated[Texts, BeforeValidator(partial(several_texts, is_token_ids=_is_token_ids))]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None

    def check(self, limits: Limits) -> None:
        """How many texts there are.

        :raises RequestError: where they are more than `limits.inputs`.
        """
        if len(self.input) > limits.inputs:
            raise too_large("input", limits.inputs, len(self.input))


def embeddings_body(asked: EmbeddingRequest, vectors: FloatArray, tokens: int) -> bytes:
    """The JSON of the answer; row by row, so that other threads get their turn between them.

    :param vectors: (n, dim), as they are sent.
    """
    write = _base64 if asked.encoding_format == "base64" else _floats
    rows = [
        f'{{"object":"embedding","index":{index},"embedding":{write(row)}}}'
        for index, row in enumerate(vectors)
    ]
    usage = json.dumps({"prompt_tokens": tokens, "total_tokens": tokens})
    data = ",".join(rows)
    return f'{{"object":"list","data":[{data}],"model":{json.dumps(asked.model)},"usage":{usage}}}'.encode()


def _floats(row: FloatArray) -> str:
    return json.dumps(row.round(DIGITS).tolist(), separators=(",", ":"))


def _base64(row: FloatArray) -> str:
    """32-bit floats, little end first, as OpenAI sends them."""
    return f'"{base64.b64encode(row.astype(np.dtype("<f4")).tobytes()).decode("ascii")}"'
