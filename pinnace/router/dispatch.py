"""The dispatcher: one door for the server and for agents. Route a request, run the route, write it down."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from pinnace.config import Config
from pinnace.errors import BackendUnavailableError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Delta, Request
from pinnace.models.fleet import Fleet
from pinnace.router.accepting import accepting
from pinnace.router.answer import Event
from pinnace.router.cascade import Cascade, Judge, asked_of
from pinnace.router.draft import Draft
from pinnace.router.embedder import load_embedder
from pinnace.router.embedders import Embedders, further_embedders
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.evidence import Evidence
from pinnace.router.ledger import Ledger
from pinnace.router.ledger_row import LedgerRow, attempts_json, joules_of_all, system_alone
from pinnace.router.needs import only_capable
from pinnace.router.route import Route
from pinnace.router.routed_text import routed_text
from pinnace.router.router import Router
from pinnace.router.spending import Spending
from pinnace.router.state import default_state, load_state
from pinnace.router.watcher import Watcher

AUTO = "auto"


class Dispatcher:
    """A fleet, a router and a ledger at work together. `start` before use, `drain` after."""

    def __init__(
        self,
        fleet: Fleet,
        router: Router,
        ledger: Ledger | None = None,
        embeddings: Mapping[str, EmbeddingQueue] | None = None,
    ) -> None:
        self.fleet = fleet
        self.router = router
        self.ledger = ledger
        self.embedders = Embedders(lambda: self.router.embeddings, embeddings)
        self.spending = Spending()
        self.watcher: Watcher | None = None

    @classmethod
    def from_config(cls, config: Config) -> "Dispatcher":
        """Everything that `router.yaml` describes; starts nothing.

        :raises StateError: when the router state cannot be read or does not fit the embedder.
        """
        return cls(
            Fleet.from_config(config),
            make_router(config),
            Ledger(config.ledger.path, store_text=config.ledger.store_text),
            further_embedders(config.embeddings),
        )

    @property
    def hold_tokens(self) -> int:
        """Tokens that a stream holds back: those that the gate's prefix stage was fitted on."""
        return self.router.state.hold_tokens

    async def start(self) -> None:
        """Start the ledger, the embedder and the fleet.

        :raises BackendError: when no fleet member can serve.
        :raises WeightsError: when the embedder cannot be had.
        """
        if self.ledger is not None:
            self.spending.fill(await asyncio.to_thread(_opened, self.ledger))
        self.router.start()
        self.embedders.start()
        await self.router.warm()
        await self.embedders.warm()
        await self.fleet.start()
        await asyncio.to_thread(self.router.prepare, self.fleet.cards())

    async def drain(self) -> None:
        """Finish what runs, and give everything back; the ledger is written whatever goes wrong before."""
        try:
            await self.fleet.drain()
        finally:
            await asyncio.to_thread(self._stop_threads)

    def _stop_threads(self) -> None:
        self.router.stop()
        self.embedders.stop()
        if self.ledger is not None:
            self.ledger.stop()

    async def route(self, request: Request, model: str = AUTO) -> Route:
        """The route of `request`: chosen for `auto`, with the bar it asks for, else the named model alone.

        :raises RequestError: when that bar is no confidence.
        :raises UnknownModelError: when the fleet has no model of that name.
        :raises NoCapableModelError: when no model, or not the named one, meets the request's hard needs.
        :raises BackendUnavailableError: when the named model, or the whole fleet, cannot serve.
        """
        cards = self._cards(request)
        if model != AUTO:
            self.fleet.serving(model)
            return await self.router.route(request, self.fleet.cards(), pinned=model)
        if not cards:
            whose = "" if request.allowed is None else " that this key may use"
            raise BackendUnavailableError(f"no fleet member{whose} is ready")
        route = await self.router.route(request, cards)
        return route if request.accept is None else accepting(route, request.accept)

    def head_start(self, request: Request, hold_tokens: int | None = None, model: str = AUTO) -> Draft | None:
        """Begin the answer before `route` has decided, where there is nothing to choose.

        That is where one model alone can serve the request, and it is ours, so that a start in vain costs
        nobody money. The estimate, the clusters and the gate's prior follow while it runs. Hand the draft
        to `run`; close it whatever happens.
        """
        cards = [card for card in self._cards(request) if model in (AUTO, card.name)]
        card = only_capable(cards, request)
        if card is None or card.is_remote:
            return None
        asked = asked_of(request, hold_tokens, is_judged=self.router.can_judge(card))
        draft = Draft(self.fleet.backends[card.name], asked)
        draft.start()
        return draft

    async def run(
        self,
        request: Request,
        route: Route,
        *,
        hold_tokens: int | None = None,
        model: str = AUTO,
        head_start: Draft | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Run `route` and yield its events; the ledger gets its row whatever happens.

        :param hold_tokens: judge a stream after this many tokens; None judges whole answers.
        :param model: what the client asked for, for the ledger.
        :param head_start: the draft that `head_start` began for this request.
        """
        judge, judged = self._judge(route), self.router.can_judge
        cascade = Cascade(request, route, self.fleet.backends, judge, judged, head_start)
        record = _Record(request, route, model)
        if self.watcher is not None:
            self.watcher.routed(request, route, model)
        try:
            async with aclosing(cascade.run(hold_tokens)) as events:
                async for event in events:
                    record.note(event)
                    yield event
        finally:
            if cascade.attempts:
                spent_usd = sum(attempt.cost_usd for attempt in cascade.attempts)
                self.router.spend(route, spent_usd)
                if request.caller:
                    self.spending.add(request.caller, spent_usd)
            if self.watcher is not None:
                self.watcher.served(cascade.attempts, cascade.committed)
            if self.ledger is not None:
                self.ledger.add(record.row(cascade, store_text=self.ledger.store_text))

    def _cards(self, request: Request) -> tuple[ModelCard, ...]:
        """The models that serve, and may answer `request`."""
        cards, allowed = self.fleet.cards(), request.allowed
        return cards if allowed is None else tuple(card for card in cards if card.name in allowed)

    def _judge(self, route: Route) -> Judge:
        def judge(card: ModelCard, evidence: tuple[Evidence, ...], is_whole: bool) -> float:
            return self.router.judge(route, card, evidence, is_whole=is_whole)

        return judge


class _Record:
    """What the ledger will be told of one request."""

    def __init__(self, request: Request, route: Route, model: str) -> None:
        self._request = request
        self._route = route
        self._model = model
        self._created = time.time()
        self._began = time.perf_counter()
        self._text: list[str] = []

    def note(self, event: Event) -> None:
        """Keep the answer's text; it is dropped again unless the ledger stores text."""
        if isinstance(event, Delta) and event.index == 0:
            self._text.append(event.text)

    def row(self, cascade: Cascade, *, store_text: bool) -> LedgerRow:
        """The ledger row of the cascade as it stands."""
        attempts, committed = cascade.attempts, cascade.committed
        store_text = store_text and not self._request.private
        accepted = next((a for a in attempts if a.verdict == "accepted"), None)
        last = accepted or (attempts[-1] if attempts else None)
        joules, joules_source = joules_of_all(attempts)
        return LedgerRow(
            request_id=self._request.id,
            created=self._created,
            asked_model=self._model,
            model=committed.model if committed else "",
            strategy=self._route.strategy,
            route=">".join(committed.tried if committed else [a.model for a in attempts]),
            confidence=committed.confidence if committed else None,
            escalated=committed.escalated if committed else False,
            outcome=last.verdict if last else "abandoned",
            why=committed.why if committed else (last.why if last else ""),
            prompt_tokens=last.usage.prompt_tokens if last else 0,
            completion_tokens=last.usage.completion_tokens if last else 0,
            cost_usd=sum(attempt.cost_usd for attempt in attempts),
            decision_s=self._route.decision_s,
            total_s=time.perf_counter() - self._began,
            clusters=",".join(str(match.index) for match in self._route.clusters),
            attempts=attempts_json(attempts, store_text=store_text),
            prompt=routed_text(self._request) if store_text else None,
            answer="".join(self._text) if store_text else None,
            key=self._request.caller,
            joules=joules,
            joules_source=joules_source,
            private=self._request.private,
            system=system_alone(self._request) if store_text else None,
        )


def _opened(ledger: Ledger) -> dict[str, tuple[float, float]]:
    """Start the ledger, which may have to wait for a disk; what each key has spent by it."""
    ledger.start()
    return ledger.spent_by_key()


def make_router(config: Config, embeddings: EmbeddingQueue | None = None) -> Router:
    """The router that `router.yaml` describes; reads its state, and leaves the embedder for `start`.

    :param embeddings: a queue that runs already, over the same embedder.
    """
    state = load_state(config.router.state or default_state())
    embeddings = embeddings or EmbeddingQueue(load_embedder(config.router.embedder))
    return Router(state, embeddings, config.router.policy, config.router.explore)
