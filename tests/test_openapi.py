"""The OpenAPI document is true to what is served: schemathesis finds neither bug nor surprise."""

import asyncio
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_fixtures import ASK, ScriptedDispatcher, house, on_a_socket, scripted_fleet

from pinnace.config import Server
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.embedders import Embedders
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.ledger import Ledger
from pinnace.server.app import App, create_app
from pinnace.server.openapi import openapi_document

DOCUMENT = openapi_document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SEEN: Counter[tuple[str, int]] = Counter()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


async def whole_app(folder: Path) -> tuple[App, ScriptedDispatcher]:
    """An application with everything that the document speaks of."""
    dispatcher = ScriptedDispatcher(scripted_fleet())
    queue = EmbeddingQueue(HashingEmbedder())
    queue.start()
    dispatcher.embedders = Embedders(lambda: queue)
    dispatcher.ledger = Ledger(folder / "ledger.sqlite")  # type: ignore[assignment]
    await dispatcher.start()
    return create_app(dispatcher, Server()), dispatcher


@contextmanager
def served(folder: Path) -> Generator[str, None, None]:
    """The application on a socket, on a thread of its own: schemathesis asks from this one."""
    address: list[str] = []
    is_up, loop = threading.Event(), asyncio.new_event_loop()
    is_over = asyncio.Event()

    async def serve() -> None:
        app, dispatcher = await whole_app(folder)
        async with on_a_socket(app) as port:
            address.append(f"http://127.0.0.1:{port}")
            is_up.set()
            await is_over.wait()
        await dispatcher.drain()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert is_up.wait(10)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    with served(tmp_path_factory.mktemp("openapi")) as found:
        yield found


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_schemathesis_finds_no_bug_and_no_status_that_is_not_documented(
    case: schemathesis.Case, address: str
) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "hashing" if case.path == "/v1/embeddings" else "auto"  # or all would be 404
        if "messages" in case.body and sum(SEEN.values()) % 2:
            case.body["messages"] = ASK  # messages by chance hardly ever fit their roles
    response = case.call_and_validate(base_url=address, checks=CHECKS)
    SEEN[case.path, response.status_code] += 1


def test_schemathesis_came_through_the_door_and_was_turned_away_as_well() -> None:
    paths = {path for path, _ in SEEN}
    assert paths == set(DOCUMENT["paths"])
    answered = {path for path, status in SEEN if status == 200}
    assert paths - answered <= {"/v1/feedback", "/v1/models/{model}"}  # which need a name that exists
    assert {status for _, status in SEEN} >= {200, 400, 404, 405}


def test_the_document_is_served_to_everybody(address: str) -> None:
    response = httpx.get(f"{address}/openapi.json")
    assert response.status_code == 200
    assert response.json() == DOCUMENT


def schema_of(name: str) -> Draft202012Validator:
    """The validator of one of the document's shapes."""
    components = {"components": DOCUMENT["components"]}
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **components})


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "/v1/chat/completions",
        "ChatCompletion",
        {"messages": ASK, "n": 2, "logprobs": True, "top_logprobs": 1},
    ),
    (
        "/v1/chat/completions",
        "ChatCompletion",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "capital"}]}]},
    ),
    ("/v1/completions", "TextCompletion", {"prompt": ["capital", "else"], "logprobs": 1, "stop": ["x"]}),
    ("/v1/responses", "Response", {"input": "capital", "store": False, "text": {"format": {"type": "text"}}}),
    ("/v1/responses", "Response", {"input": [{"role": "user", "content": "capital"}], "tool_choice": "auto"}),
]


@pytest.mark.parametrize(("path", "shape", "fields"), REQUESTS)
async def test_what_is_answered_has_the_documented_shape(
    path: str, shape: str, fields: dict[str, Any]
) -> None:
    body = {"model": "auto", **fields}
    reference = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "$ref"
    ]
    schema_of(reference.rsplit("/", 1)[1]).validate(body)
    async with house() as place, place.http() as http:
        response = await http.post(path, json=body)
    assert response.status_code == 200
    schema_of(shape).validate(response.json())


def test_every_reference_in_the_document_leads_somewhere() -> None:
    Draft202012Validator.check_schema({"$defs": DOCUMENT["components"]["schemas"]})
    names = set(DOCUMENT["components"]["schemas"])
    assert {each.rsplit("/", 1)[1] for each in references(DOCUMENT)} <= names


def references(value: Any) -> Generator[str, None, None]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
