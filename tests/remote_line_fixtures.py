"""A server that says what a test has it say, and the line to it."""

import json
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai_fixtures import KEY
from router_fixtures import failure_of
from stand_in_remote import Answer, StandIn, in_turn, stand_in_remote

from pinnace.agents.gathering import reply_of
from pinnace.agents.remote_line import RemoteLine
from pinnace.errors import PinnaceError
from pinnace.models.completion import Message, Request

ASK = Request((Message("user", "What is the capital of France?"),))


def whole(*texts: str, **fields: Any) -> bytes:
    """A whole answer of a server that is no Pinnace."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return json.dumps({"model": "gpt-x", "choices": choices, "usage": usage, **fields}).encode()


def envelope(code: Any = None, param: Any = None, message: str = "no") -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "param": param, "code": code}}).encode()


@asynccontextmanager
async def line_to(
    *said: bytes | Answer, timeout_s: float = 2
) -> AsyncGenerator[tuple[RemoteLine, StandIn], None]:
    """A line to a server that answers with `said`, chunk by chunk."""
    async with stand_in_remote(*said) as place:
        line = RemoteLine(place.url, KEY, timeout_s)
        yield line, place
        await line.aclose()


@asynccontextmanager
async def line_through(
    *answers: Answer, timeout_s: float = 2
) -> AsyncGenerator[tuple[RemoteLine, StandIn], None]:
    """A line to a server that gives these answers in turn."""
    async with line_to(timeout_s=timeout_s) as (line, place):
        place.answer = in_turn(*answers)
        yield line, place


async def error_on(line: RemoteLine, request: Request = ASK, *, is_stream: bool = False) -> Exception:
    asked = reply_of(line.stream(request), request.n) if is_stream else line.complete(request)
    error = await failure_of(asked)
    assert isinstance(error, PinnaceError)
    assert KEY not in "".join(traceback.format_exception(error))
    return error


AS = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
