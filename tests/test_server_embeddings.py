"""Embeddings through the openai client: forms, dimensions, lists, limits, and the queue that they share."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import scripted_config
from server_fixtures import House, ScriptedDispatcher, eventually, scripted_fleet
from test_server_errors import error_of

from pinnace.config import Config, Router, Server
from pinnace.router.embedder import MAX_CHARACTERS, HashingEmbedder, load_embedder
from pinnace.router.embedders import LOT, LOT_CHARACTERS, Embedders, further_embedders, lots_of
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.server.app import create_app

PATH = "/v1/embeddings"
HASHING = HashingEmbedder()


@asynccontextmanager
async def embedding_house(queue: EmbeddingQueue | None = None, **server: Any) -> AsyncGenerator[House, None]:
    """An application whose router has an embedder that needs no weights."""
    dispatcher = ScriptedDispatcher(scripted_fleet())
    queue = queue or EmbeddingQueue(HASHING)
    dispatcher.embedders = Embedders(lambda: queue)
    await dispatcher.start()
    queue.start()
    try:
        yield House(create_app(dispatcher, Server.model_validate(server)), dispatcher)
    finally:
        queue.stop()


async def test_a_text_has_its_vector() -> None:
    async with embedding_house() as place, place.client() as client:
        found = await client.embeddings.create(model="hashing", input="What is the capital?")
    assert (found.object, found.model) == ("list", "hashing")
    np.testing.assert_allclose(found.data[0].embedding, HASHING.embed(["What is the capital?"])[0], atol=1e-7)
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (4, 4)


async def test_texts_have_their_vectors_in_their_order_lot_by_lot() -> None:
    texts = [f"text number {number}" for number in range(2 * LOT + 3)]
    async with embedding_house() as place, place.client() as client:
        found = await client.embeddings.create(model="hashing", input=texts, encoding_format="float")
    assert [each.index for each in found.data] == list(range(len(texts)))
    np.testing.assert_allclose([each.embedding for each in found.data], HASHING.embed(texts), atol=1e-7)
    assert found.usage.prompt_tokens == 3 * len(texts)


async def test_base64_is_32_bit_floats_little_end_first() -> None:
    async with embedding_house() as place, place.http() as http:
        body = {"model": "hashing", "input": "some words", "encoding_format": "base64"}
        answer = (await http.post(PATH, json=body)).json()
    vector = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(vector, HASHING.embed(["some words"])[0], atol=1e-7)


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_fewer_dimensions_are_the_first_ones_of_length_one_again(encoding: Any) -> None:
    async with embedding_house() as place, place.client() as client:
        found = await client.embeddings.create(
            model="hashing", input="some more words", dimensions=64, encoding_format=encoding
        )
    cut = HASHING.embed(["some more words"])[0, :64]
    vector = found.data[0].embedding
    if isinstance(vector, str):
        vector = np.frombuffer(base64.b64decode(vector), "<f4").tolist()
    np.testing.assert_allclose(vector, cut / np.linalg.norm(cut), atol=1e-6)


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"input": [1, 2, 3]}, "input", "unsupported_parameter", "token ids are not supported, only text"),
    ({"input": [[1, 2], [3]]}, "input", "unsupported_parameter", "token ids are not supported"),
    ({"input": ""}, "input", "invalid_value", "not empty, or a list of such strings, got ''"),
    ({"input": []}, "input", "invalid_value", "got []"),
    ({"input": ["a", ""]}, "input", "invalid_value", "got ['a', '']"),
    ({"input": ["a"] * 257}, "input", "invalid_value", "expected at most 256, got 257"),
    (
        {"input": "a" * 2001},
        "input",
        "context_length_exceeded",
        "input: expected at most 2000 characters, got 2001",
    ),
    ({"input": ["a", "b" * 2001]}, "input[1]", "context_length_exceeded", "input[1]: expected at most 2000"),
    ({"encoding_format": "int8"}, "encoding_format", "invalid_value", "'float' or 'base64'"),
    ({"dimensions": 0}, "dimensions", "invalid_value", "greater than or equal to 1, got 0"),
    ({"dimensions": 513}, "dimensions", "invalid_value", "expected at most 512, got 513"),
    ({"inputs": "x"}, "inputs", "unknown_parameter", "did you mean 'input'?"),
]


@pytest.mark.parametrize(("fields", "param", "code", "said"), REFUSED)
async def test_what_is_wrong_is_refused_by_name(
    fields: dict[str, Any], param: str, code: str, said: str
) -> None:
    async with embedding_house() as place, place.http() as http:
        response = await http.post(PATH, json={"model": "hashing", "input": "x", **fields})
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert said in str(error["message"])


async def test_an_unknown_model_is_404_and_chat_models_embed_nothing() -> None:
    async with embedding_house() as place, place.http() as http:
        for name in ("text-embedding-3-small", "small", "auto"):
            response = await http.post(PATH, json={"model": name, "input": "x"})
            assert response.status_code == 404
            error = error_of(response)
            assert (error["param"], error["code"]) == ("model", "model_not_found")
            assert error["message"] == f"there is no embedding model {name!r}; there are: hashing"


class SlowEmbedder(HashingEmbedder):
    """Takes its time, and remembers its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.batches.append(list(texts))
        time.sleep(0.02)
        return super().embed(texts)


async def test_a_routing_decision_waits_for_one_lot_at_most() -> None:
    embedder = SlowEmbedder()
    queue = EmbeddingQueue(embedder)
    async with embedding_house(queue) as place, place.client() as client:
        texts = [f"text {number}" for number in range(8 * LOT)]
        many = asyncio.create_task(client.embeddings.create(model="hashing", input=texts))
        await eventually(lambda: embedder.batches)
        await queue.embed("a question")
        await many
    at = next(number for number, batch in enumerate(embedder.batches) if "a question" in batch)
    assert at <= len(embedder.batches) - 4
    assert max(len(batch) for batch in embedder.batches) <= LOT + 1


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_lots_are_all_texts_in_their_order_and_none_is_large(lengths: list[int]) -> None:
    texts = ["x" * length for length in lengths]
    lots = list(lots_of(texts))
    assert [text for lot in lots for text in lot] == texts
    for lot in lots:
        assert 1 <= len(lot) <= LOT
        assert len(lot) == 1 or sum(map(len, lot)) <= LOT_CHARACTERS


def test_configured_models_have_names_of_their_own(tmp_path: Path) -> None:
    config = scripted_config(tmp_path)
    extra = {"name": "words", "source": "hashing"}
    found = Config.model_validate({**config.model_dump(by_alias=True), "embeddings": [extra]})
    assert list(further_embedders(found.embeddings)) == ["words"]
    for name in ("auto", "small"):
        with pytest.raises(ValueError, match="every name must be its own"):
            Config.model_validate(
                {**config.model_dump(by_alias=True), "embeddings": [{"name": name, "source": "hashing"}]}
            )


async def test_configured_models_serve_beside_the_routers_own() -> None:
    own = EmbeddingQueue(HASHING)
    embedders = Embedders(lambda: own, {"words": EmbeddingQueue(HashingEmbedder(16))})
    embedders.start()
    await embedders.warm()
    vectors, tokens = await embedders.embed("words", ["one two", "three"])
    embedders.stop()
    assert embedders.names() == ["hashing", "words"]
    assert (vectors.shape, tokens, embedders.dim("words")) == ((2, 16), 3, 16)


def test_words_are_what_hashing_counts() -> None:
    assert HASHING.count(["one two", "", "three"]) == [2, 0, 1]
    assert HASHING.max_characters == MAX_CHARACTERS


@pytest.mark.real
async def test_minilm_counts_its_tokens_and_refuses_what_it_would_cut() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    queue = EmbeddingQueue(load_embedder(Router().embedder))
    async with embedding_house(queue) as place, place.client() as client, place.http() as http:
        name = queue.embedder.name
        found = await client.embeddings.create(model=name, input="What is the capital of France?")
        assert (len(found.data[0].embedding), found.usage.prompt_tokens) == (384, 9)
        response = await http.post(PATH, json={"model": name, "input": ["x", "word " * 200]})
    assert (response.status_code, error_of(response)["param"]) == (400, "input[1]")
    assert "expected at most 128 tokens, got 202" in str(error_of(response)["message"])
