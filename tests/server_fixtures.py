"""What the server's tests stand on: a scripted fleet, a light dispatcher, and a client of each kind.

`ScriptedDispatcher` runs the real cascade over scripted backends with a judge that reads the mean
log-probability; it has no embedder and no router state, so the server's tests need neither.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import openai

from pinnace.config import ScriptedMember, Server
from pinnace.errors import BackendError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Event
from pinnace.router.cascade import Cascade
from pinnace.router.evidence import Evidence
from pinnace.router.route import Route, Rung
from pinnace.server.app import App, create_app
from pinnace.server.serving import Stop, listen, listening

SURE = {"when": "capital", "answer": "The capital of France is Paris.", "probability": 0.95}
UNSURE = {"answer": "I do not know that.", "probability": 0.2}


class ScriptedDispatcher:
    """Routes `auto` to the first member, and on to the last one below a confidence of one half.

    `starting_s` delays the start; `bug` is raised instead of a route.
    """

    hold_tokens = 3

    def __init__(self, fleet: Fleet, *, starting_s: float = 0.0) -> None:
        self.fleet = fleet
        self.starting_s = starting_s
        self.drained = 0
        self.bug: Exception | None = None

    async def start(self) -> None:
        await asyncio.sleep(self.starting_s)
        await self.fleet.start()

    async def drain(self) -> None:
        self.drained += 1
        await self.fleet.drain()

    async def route(self, request: Request, model: str = "auto") -> Route:
        if self.bug is not None:
            raise self.bug
        if model != "auto":
            self.fleet.serving(model)
            return Route((Rung(model),), "pinned", "the client named the model")
        names = [card.name for card in self.fleet.cards()]
        if not names:
            raise BackendError("no fleet member can serve")
        if len(names) == 1:
            return Route((Rung(names[0]),), "single", "the only model", decision_s=0.001)
        return Route((Rung(names[0], bar=0.5), Rung(names[-1])), "cascade", "small first", decision_s=0.001)

    def run(self, request: Request, route: Route, *, hold_tokens: int | None) -> AsyncGenerator[Event, None]:
        return Cascade(request, route, self.fleet.backends, judge).run(hold_tokens)


def judge(card: ModelCard, evidence: tuple[Evidence, ...], is_whole: bool) -> float:
    """The mean probability of a token."""
    return math.exp(sum(e.mean for e in evidence) / len(evidence))


def member(name: str, *script: Mapping[str, object], price: float = 1.0) -> ScriptedMember:
    """A scripted fleet member; `price` is USD per million tokens, both ways."""
    return ScriptedMember.model_validate(
        {
            "name": name,
            "backend": "scripted",
            "script": script,
            "price": {"input": price, "output": price},
        }
    )


def scripted_fleet(*members: ScriptedMember) -> Fleet:
    """A fleet that has not started yet: a small and a large model where none are given."""
    members = members or (member("small", SURE, UNSURE), member("large", {"answer": "It is 42."}, price=10))
    return Fleet({m.name: ScriptedBackend(m) for m in members})


@dataclass
class House:
    """A server under test, and everything behind it."""

    app: App
    dispatcher: ScriptedDispatcher

    def backend(self, name: str) -> ScriptedBackend:
        backend = self.dispatcher.fleet.backends[name]
        assert isinstance(backend, ScriptedBackend)
        return backend

    def http(self) -> httpx.AsyncClient:
        """A plain client that speaks to the application without a socket."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://pinnace")

    def client(self, api_key: str = "any") -> openai.AsyncOpenAI:
        """The openai client, without a socket."""
        return openai.AsyncOpenAI(
            base_url="http://pinnace/v1", api_key=api_key, max_retries=0, http_client=self.http()
        )


@asynccontextmanager
async def house(*members: ScriptedMember, **server: object) -> AsyncGenerator[House, None]:
    """An application over a scripted fleet that is ready; `server` is its section of `router.yaml`."""
    dispatcher = ScriptedDispatcher(scripted_fleet(*members))
    await dispatcher.start()
    app = create_app(dispatcher, Server.model_validate(server))
    yield House(app, dispatcher)
    assert (app.admission.running, app.admission.queued, app.admission.tokens) == (0, 0, 0)
    assert len(app.lifelines) == 0
    assert all(backend.running == 0 for backend in dispatcher.fleet.backends.values())


@asynccontextmanager
async def on_a_socket(app: App) -> AsyncGenerator[int, None]:
    """Serve `app` with uvicorn on a free loopback port, which it yields."""
    listener = listen("127.0.0.1", 0)
    async with listening(app, listener, Stop()):
        yield listener.getsockname()[1]


async def eventually(question: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait until `question()` is true."""
    async with asyncio.timeout(seconds):
        while not question():  # noqa: ASYNC110 - asks about objects that have no event
            await asyncio.sleep(0.005)


ASK = [{"role": "user", "content": "What is the capital of France?"}]
ASK_HARD = [{"role": "user", "content": "What is the meaning of it all?"}]
