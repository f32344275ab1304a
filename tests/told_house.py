"""A server whose one model says what it is told, for what the scripted backend cannot say: calls of tools."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from router_fixtures import ToldBackend
from server_fixtures import House, ScriptedDispatcher

from pinnace.config import Server
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.fleet import Fleet
from pinnace.server.app import create_app

END = Usage(7, 5)


class Told(ToldBackend):
    """Says the same to everybody, or what a tool came to; `requests` are what it was asked."""

    def __init__(self, *deltas: Delta, error: Exception | None = None) -> None:
        super().__init__("told", *deltas, error=error)
        self.card = replace(self.card, tools=True, json_schema=True)
        self.requests: list[Request] = []
        self.running = 0

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        last = request.messages[-1]
        if last.role == "tool":
            yield Delta(f"It is {last.content}.")
            yield Delta(finish_reason="stop", usage=END)
            return
        async for delta in super().stream(request):
            yield delta


def called(number: int, name: str, *arguments: str) -> list[Delta]:
    """The deltas of one call, its arguments piece by piece."""
    head = {"index": number, "id": f"call_{number}", "type": "function"}
    first = Delta(tool_calls=[{**head, "function": {"name": name, "arguments": ""}}])
    return [first, *(Delta(tool_calls=[{"index": number, "function": {"arguments": a}}]) for a in arguments)]


def ended(reason: str = "stop") -> Delta:
    """The delta with which an answer ends."""
    return Delta(finish_reason=reason, usage=END)


@asynccontextmanager
async def told_house(backend: Told, **server: object) -> AsyncGenerator[House, None]:
    """An application over `backend` alone."""
    dispatcher = ScriptedDispatcher(Fleet({"told": backend}))
    await dispatcher.start()
    yield House(create_app(dispatcher, Server.model_validate(server)), dispatcher)
