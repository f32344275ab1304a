"""A backend of an OpenAI-compatible server, beside the stand-in that it talks to."""

import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from router_fixtures import ASKED, failure_of
from stand_in_remote import StandIn, stand_in_remote

from pinnace.config import OpenAIMember
from pinnace.models.completion import Delta, Request
from pinnace.models.openai_backend import OpenAIBackend

KEY = "sk-s3cr3t-0123456789"
FAST = {"connect_s": 2, "first_token_s": 2, "stall_s": 2}
PAGE = b"<html><h1>Bad gateway</h1></html>"


@asynccontextmanager
async def remote(
    *said: object, status: int = 200, **fields: object
) -> AsyncGenerator[tuple[OpenAIBackend, StandIn], None]:
    """A backend, and the stand-in that it talks to."""
    async with stand_in_remote(*said, status=status) as place:
        backend = backend_at(place.url, **fields)
        yield backend, place
        await backend.drain()


def backend_at(url: str, **fields: object) -> OpenAIBackend:
    plain = {"name": "large", "backend": "openai", "base_url": url, "model": "gpt", "api_key": KEY}
    price = {"input": 2, "output": 8}
    return OpenAIBackend(OpenAIMember.model_validate({**plain, "price": price, "timeouts": FAST, **fields}))


async def deltas_of(backend: OpenAIBackend, request: Request = ASKED) -> list[Delta]:
    return [delta async for delta in backend.stream(request)]


async def error_of(*said: object, request: Request = ASKED, status: int = 200, **fields: object) -> Exception:
    """How a backend fails on what the stand-in says; it tells no key and leaves nothing running."""
    async with remote(*said, status=status, **fields) as (backend, _):
        error = await failure_of(deltas_of(backend, request))
        assert backend.running == 0
    assert KEY not in "".join(traceback.format_exception(error))
    assert str(error).startswith("large: ")
    return error


def text_of(deltas: list[Delta], index: int = 0) -> str:
    return "".join(delta.text for delta in deltas if delta.index == index)
