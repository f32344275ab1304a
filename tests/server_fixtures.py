"""What the server's tests stand on: a scripted fleet, a light dispatcher, and a client of each kind.

The dispatcher and the cascade are the real ones; the router is a light one without embedder or state,
so that the server's tests need neither.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import openai

from pinnace.config import ScriptedMember, Server
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.dispatch import Dispatcher
from pinnace.router.evidence import Evidence
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.route import Route, Rung
from pinnace.server.app import App, create_app
from pinnace.server.protocol import bounded_http
from pinnace.server.serving import Stop, listen, listening

SURE = {"when": "capital", "answer": "The capital of France is Paris.", "probability": 0.95}
UNSURE = {"answer": "I do not know that.", "probability": 0.2}


class ScriptedRouter:
    """Routes `auto` to the first member, and on to the last one below a confidence of one half.

    Confidence is the mean probability of a token; `bug` is raised instead of a route.
    """

    state = SimpleNamespace(hold_tokens=3)
    embeddings = None

    def __init__(self) -> None:
        self.bug: Exception | None = None

    def start(self) -> None:
        """Nothing to start."""

    async def warm(self) -> None:
        """Nothing to load."""

    def stop(self) -> None:
        """Nothing to stop."""

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Nothing to pick."""

    def watch_batches(self, on_batch: Callable[[int, float], None]) -> None:
        """It embeds nothing."""

    def spend(self, route: Route, usd: float) -> None:
        """Nothing to hold."""

    def can_judge(self, card: ModelCard) -> bool:
        """It judges every answer."""
        return True

    async def route(self, request: Request, cards: Sequence[ModelCard], pinned: str | None = None) -> Route:
        if self.bug is not None:
            raise self.bug
        names = [card.name for card in cards]
        if pinned is not None or len(names) == 1:
            return Route((Rung(pinned or names[0]),), "pinned", "there is no other", decision_s=0.001)
        return Route((Rung(names[0], bar=0.5), Rung(names[-1])), "cascade", "small first", decision_s=0.001)

    def judge(self, route: Route, card: ModelCard, evidence: Sequence[Evidence], *, is_whole: bool) -> float:
        return math.exp(sum(e.mean for e in evidence) / len(evidence))


class ListLedger:
    """A ledger that keeps its rows where tests can see them."""

    store_text = False

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""

    def spent_by_key(self) -> dict[str, tuple[float, float]]:
        """Nothing was spent before."""
        return {}

    def add(self, row: LedgerRow) -> None:
        self.rows.append(row)

    def asker_of(self, request_id: str) -> str | None:
        return next((row.key for row in self.rows if row.request_id == request_id), None)


class ScriptedDispatcher(Dispatcher):
    """The real dispatcher over a scripted fleet; `starting_s` delays its start."""

    def __init__(self, fleet: Fleet, *, starting_s: float = 0.0) -> None:
        self.router: ScriptedRouter
        self.ledger: ListLedger
        super().__init__(fleet, ScriptedRouter(), ListLedger())
        self.starting_s = starting_s

    async def start(self) -> None:
        await asyncio.sleep(self.starting_s)
        await super().start()


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

    @property
    def rows(self) -> list[LedgerRow]:
        """What the ledger was told."""
        return self.dispatcher.ledger.rows

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
    async with listening(app, listener, Stop(), bounded_http(app.config, app.metrics.refused)):
        yield listener.getsockname()[1]


async def eventually(question: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `question()` is true."""
    async with asyncio.timeout(seconds):
        while not question():  # noqa: ASYNC110 - asks about objects that have no event
            await asyncio.sleep(0.005)


ASK = [{"role": "user", "content": "What is the capital of France?"}]
ASK_HARD = [{"role": "user", "content": "What is the meaning of it all?"}]
