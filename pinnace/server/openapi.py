"""`GET /openapi.json`: the endpoint described for machines, made from the shapes that it reads by.

Knows every path of OpenAI's surface, and nothing of how one is served.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.types import Receive, Scope, Send

from pinnace.server import answer_shapes as answers
from pinnace.server.embedding_wire import EmbeddingRequest
from pinnace.server.exchange import exchange_of
from pinnace.server.feedback import Rating
from pinnace.server.responses_wire import ResponsesRequest
from pinnace.server.text_wire import TextRequest
from pinnace.server.wire import ChatRequest

_REFUSED = {
    400: "The request is wrong: `param` says where, `message` what was expected.",
    401: "No API key, or none of this server's.",
    403: "The key may not do this.",
    404: "There is no such model, answer or path.",
    405: "The path does not take this method; `Allow` says which it takes.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    429: "Too much at once; `Retry-After` says when to come again.",
    431: "Too many headers.",
    502: "The model's server answered with something else than an answer.",
    503: "Not ready, stopping, or no model can be reached; `Retry-After` says when to come again.",
    504: "It took longer than it may.",
}
_ALWAYS = (401, 403, 405, 408, 429, 431, 503)
_ASKING = (400, 404, 413, 502, 504)
_POSTS: Mapping[str, tuple[str, type[BaseModel], type[BaseModel], Sequence[int]]] = {
    "/v1/chat/completions": ("Answer a chat", ChatRequest, answers.ChatCompletion, _ASKING),
    "/v1/completions": ("Go on with a text", TextRequest, answers.TextCompletion, _ASKING),
    "/v1/responses": ("Answer a list of items", ResponsesRequest, answers.Response, _ASKING),
    "/v1/embeddings": ("Embed texts", EmbeddingRequest, answers.EmbeddingList, (400, 404, 413, 504)),
    "/v1/feedback": ("Rate an answer", Rating, answers.RatingKept, (400, 404, 413, 504)),
}
_GETS: Mapping[str, tuple[str, type[BaseModel], Sequence[int]]] = {
    "/v1/models": ("List the models", answers.Models, (504,)),
    "/v1/models/{model}": ("Describe one model", answers.Model, (404, 504)),
}
_STREAMED = (ChatRequest, TextRequest, ResponsesRequest)
_EVENT = {
    "description": "One event of the stream; its data is a line of JSON, or [DONE].",
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_NAME = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


class Document:
    """The endpoint as an ASGI application of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await exchange_of(scope).answer(200, (), _rendered())


@cache
def _rendered() -> bytes:
    return json.dumps(openapi_document()).encode()


def openapi_document() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (post[1], "validation") for post in _POSTS.values()
    ]
    answered = [post[2] for post in _POSTS.values()] + [get[1] for get in _GETS.values()] + [answers.Error]
    shapes = asked + [(shape, "validation") for shape in answered]
    _, schemas = models_json_schema(shapes, ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pinnace", "version": version("pinnace"), "description": (__doc__ or "").strip()},
        "paths": {
            **{path: {"post": _post(*post)} for path, post in _POSTS.items()},
            **{path: {"get": _get(path, *get)} for path, get in _GETS.items()},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _post(
    summary: str, shape: type[BaseModel], answer: type[BaseModel], refusals: Sequence[int]
) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": _ref(shape)}}}
    return {
        "summary": summary,
        "operationId": shape.__name__,
        "requestBody": body,
        "responses": _responses(answer, refusals, is_streamed=shape in _STREAMED),
    }


def _get(path: str, summary: str, answer: type[BaseModel], refusals: Sequence[int]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": answer.__name__,
        "parameters": [_NAME] if "{model}" in path else [],
        "responses": _responses(answer, refusals),
    }


def _responses(
    answer: type[BaseModel], refusals: Sequence[int], *, is_streamed: bool = False
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _ref(answer)}}
    if is_streamed:
        content["text/event-stream"] = {"schema": _EVENT}
    envelope = {"application/json": {"schema": _ref(answers.Error)}}
    found = {
        str(status): {"description": _REFUSED[status], "content": envelope}
        for status in sorted({*_ALWAYS, *refusals})
    }
    return {"200": {"description": "The answer.", "content": content}, **found}


def _ref(shape: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
