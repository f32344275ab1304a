"""The dispatcher: routed, run and written down, whatever happens on the way."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from router_fixtures import ASKED, AxisEmbedder, failure_of, scripted, scripted_config, small_state
from server_fixtures import eventually, member

from pinnace.config import BudgetPolicy, Policy
from pinnace.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigError,
    NoCapableModelError,
    StateError,
    UnknownModelError,
)
from pinnace.models.completion import Message, Request
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Answered, Event
from pinnace.router.budget import BudgetKeeper
from pinnace.router.dispatch import Dispatcher
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.route import Rung
from pinnace.router.router import Router
from pinnace.router.state import save_state

PROMPT = "What is the capital of Xyzzyland?"
SURE, UNSURE = {"probability": 0.95}, {"probability": 0.4}


@asynccontextmanager
async def dispatching(
    folder: Path, small: Mapping[str, object] = SURE, large: Mapping[str, object] = {}, **ledger: bool
) -> AsyncGenerator[tuple[Dispatcher, Path], None]:
    """A dispatcher that is started, over a small and a large scripted model, and where its ledger is."""
    backends = [
        scripted("small", "It is Plughtown in the north.", price=1, **small),
        scripted("large", "It is 42.", price=100, **large),
    ]
    router = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy())
    path = folder / "ledger.sqlite"
    dispatcher = Dispatcher(Fleet({b.card.name: b for b in backends}), router, Ledger(path, **ledger))
    await dispatcher.start()
    try:
        yield dispatcher, path
    finally:
        await dispatcher.drain()


async def serve(
    dispatcher: Dispatcher, model: str = "auto", hold_tokens: int | None = None, **fields: Any
) -> Answered:
    """Route and run one request to its end."""
    request = Request((Message("user", PROMPT),), id="r1", **fields)
    route = await dispatcher.route(request, model)
    events: list[Event] = [
        e async for e in dispatcher.run(request, route, hold_tokens=hold_tokens, model=model)
    ]
    assert isinstance(events[-1], Answered)
    return events[-1]


def only_row(path: Path) -> LedgerRow:
    (row,) = read_ledger(path)
    return row


async def row_of(dispatcher: Dispatcher, path: Path) -> LedgerRow:
    """The one row, once everything has been written."""
    await dispatcher.drain()
    return only_row(path)


@pytest.mark.parametrize("hold_tokens", [None, 3])
@pytest.mark.parametrize(
    ("small", "large", "path", "escalated"),
    [
        (SURE, {}, "small", False),
        (UNSURE, {}, "small>large", True),
        (UNSURE, {"fault": "refuse"}, "small>large", False),
        ({"fault": "refuse"}, {}, "small>large", True),
    ],
    ids=["accepted", "climbed", "large dead", "small dead"],
)
async def test_the_row_is_what_was_served(
    tmp_path: Path,
    small: Mapping[str, object],
    large: Mapping[str, object],
    path: str,
    escalated: bool,
    hold_tokens: int | None,
) -> None:
    async with dispatching(tmp_path, small, large) as (dispatcher, ledger):
        answered = await serve(dispatcher, hold_tokens=hold_tokens)
        row = await row_of(dispatcher, ledger)
    assert (row.request_id, row.asked_model, row.strategy, row.outcome) == (
        "r1",
        "auto",
        "cascade",
        "accepted",
    )
    assert (row.model, row.escalated, row.why) == (answered.model, answered.escalated, answered.why)
    assert (row.route, row.escalated) == (">".join(a.model for a in answered.attempts), escalated)
    assert row.route.startswith(path)
    assert (row.prompt_tokens, row.completion_tokens) == (
        answered.usage.prompt_tokens,
        answered.usage.completion_tokens,
    )
    assert row.cost_usd == pytest.approx(answered.cost_usd)
    assert row.confidence == pytest.approx(answered.confidence)
    assert sum(attempt["cost_usd"] for attempt in json.loads(row.attempts)) == pytest.approx(row.cost_usd)
    assert [attempt["verdict"] for attempt in json.loads(row.attempts)] == [
        a.verdict for a in answered.attempts
    ]
    assert row.clusters.startswith("1")
    assert 0 < row.decision_s < 1
    assert 0 < row.total_s < 5
    assert (row.prompt, row.answer) == (None, None)


@pytest.mark.parametrize("store_text", [False, True])
async def test_a_draft_that_was_climbed_past_is_on_disk_where_text_is_stored(
    tmp_path: Path, store_text: bool
) -> None:
    async with dispatching(tmp_path, UNSURE, store_text=store_text) as (dispatcher, path):
        await serve(dispatcher)
        row = await row_of(dispatcher, path)
    doubted, answer = json.loads(row.attempts)
    assert doubted.get("text") == ("It is Plughtown in the north." if store_text else None)
    assert ("text" in answer, doubted["is_whole"], "whole" in doubted["evidence"]) == (False, True, True)
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240 - all is over
    assert (b"Plughtown" in found) == store_text


async def test_no_text_is_on_disk_unless_asked_for(tmp_path: Path) -> None:
    async with dispatching(tmp_path, UNSURE, {"fault": "cut", "fault_after": 1}) as (dispatcher, _):
        await serve(dispatcher)
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240 - all is over
    assert b"not escalated" in found
    assert b"Xyzzyland" not in found
    assert b"Plughtown" not in found


async def test_text_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    async with dispatching(tmp_path, store_text=True) as (dispatcher, path):
        await serve(dispatcher, hold_tokens=2)
        row = await row_of(dispatcher, path)
    assert (row.prompt, row.answer) == (PROMPT, "It is Plughtown in the north.")


async def test_a_failure_is_written_down_with_what_it_cost(tmp_path: Path) -> None:
    broken = {"fault": "cut", "fault_after": 2}
    async with dispatching(tmp_path, UNSURE | {"fault": "refuse"}, broken) as (dispatcher, path):
        assert isinstance(await failure_of(serve(dispatcher)), BackendError)
        row = await row_of(dispatcher, path)
    assert (row.outcome, row.model, row.route, row.confidence) == ("failed", "", "small>large", None)
    assert row.why == "large: scripted cut after 2 tokens"
    assert row.cost_usd == pytest.approx(100 * 8 / 1e6)


async def test_a_failure_after_the_commitment_is_written_down(tmp_path: Path) -> None:
    async with dispatching(tmp_path, SURE | {"fault": "cut", "fault_after": 4}) as (dispatcher, path):
        assert isinstance(await failure_of(serve(dispatcher, hold_tokens=2)), BackendError)
        row = await row_of(dispatcher, path)
    assert (row.outcome, row.model, row.completion_tokens) == ("failed", "small", 4)


@pytest.mark.parametrize("most", [0, 1, 3])
async def test_a_client_that_goes_is_written_down_and_its_work_stops(tmp_path: Path, most: int) -> None:
    async with dispatching(tmp_path) as (dispatcher, path):
        request = Request((Message("user", PROMPT),), id="r1")
        route = await dispatcher.route(request)
        seen = 0
        async with aclosing(dispatcher.run(request, route, hold_tokens=2)) as events:
            async for _ in events:
                seen += 1
                if seen > most:
                    break
        small = dispatcher.fleet.backends["small"]
        assert isinstance(small, ScriptedBackend)
        assert (small.running, small.aborted) == (0, 1)
        row = await row_of(dispatcher, path)
    assert (row.outcome, row.model) == ("abandoned", "small")
    assert row.cost_usd > 0


async def test_a_cancelled_request_is_written_down(tmp_path: Path) -> None:
    async with dispatching(tmp_path, {"first_token_s": 60}) as (dispatcher, path):
        task = asyncio.create_task(serve(dispatcher))
        small = dispatcher.fleet.backends["small"]
        assert isinstance(small, ScriptedBackend)
        await eventually(lambda: small.running)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert small.running == 0
        row = await row_of(dispatcher, path)
    assert (row.outcome, row.why, row.cost_usd) == ("abandoned", "the client went away", 0)


async def test_a_named_model_is_asked_alone(tmp_path: Path) -> None:
    async with dispatching(tmp_path) as (dispatcher, path):
        answered = await serve(dispatcher, "large")
        row = await row_of(dispatcher, path)
    assert (answered.model, answered.why) == ("large", "pinned: the request names large")
    assert (row.asked_model, row.strategy) == ("large", "pinned")


@pytest.mark.parametrize("hold_tokens", [None, 3])
@pytest.mark.parametrize(
    ("small", "accept", "path"),
    [(UNSURE, 0.0, "small"), (SURE, 1.0, "small>large")],
    ids=["taken", "climbed"],
)
async def test_a_request_may_set_the_bar_itself(
    tmp_path: Path, small: Mapping[str, object], accept: float, path: str, hold_tokens: int | None
) -> None:
    async with dispatching(tmp_path, small) as (dispatcher, ledger):
        answered = await serve(dispatcher, hold_tokens=hold_tokens, accept=accept)
        row = await row_of(dispatcher, ledger)
    assert (row.route, row.strategy) == (path, "cascade")
    assert answered.attempts[0].bar == accept


async def test_a_bar_is_put_where_the_policy_has_none_and_a_dearer_model_serves(tmp_path: Path) -> None:
    request = replace(ASKED, accept=0.9)
    async with dispatching(tmp_path) as (dispatcher, _):
        router = Router(small_state(), dispatcher.router.embeddings, Policy(alpha=0.01))
        dispatcher.router = router
        plain, own = await dispatcher.route(ASKED), await dispatcher.route(request)
        named = await dispatcher.route(request, "small")
        alone = await dispatcher.route(replace(request, allowed=frozenset({"small"})))
    assert (plain.strategy, plain.rungs[0]) == ("single", Rung("small"))
    assert (own.strategy, own.rungs) == ("cascade", (Rung("small", 0.9), Rung("large")))
    assert named.rungs == alone.rungs == (Rung("small"),)


async def test_the_evidence_is_asked_for_whatever_the_client_wants(tmp_path: Path) -> None:
    async with dispatching(tmp_path) as (dispatcher, _):
        small = dispatcher.fleet.backends["small"]
        assert isinstance(small, ScriptedBackend)
        for wanted in (None, 0, 5):
            request = replace(ASKED, top_logprobs=wanted)
            route = await dispatcher.route(request)
            async for _ in dispatcher.run(request, route):
                pass
        assert [request.top_logprobs for request in small.requests] == [2, 2, 5]
        assert dispatcher.hold_tokens == 3


async def test_what_cannot_be_routed_is_refused(tmp_path: Path) -> None:
    async with dispatching(tmp_path) as (dispatcher, _):
        with pytest.raises(
            UnknownModelError, match="the fleet has no model 'gpt'; it has: auto, small, large"
        ):
            await dispatcher.route(ASKED, "gpt")
        with pytest.raises(NoCapableModelError, match="cannot call tools"):
            await dispatcher.route(replace(ASKED, tools=({"type": "function"},)))
        await dispatcher.fleet.drain()
        with pytest.raises(BackendUnavailableError, match="small is stopped"):
            await dispatcher.route(ASKED, "small")
        with pytest.raises(BackendUnavailableError, match="no fleet member is ready"):
            await dispatcher.route(ASKED)


def test_a_configuration_becomes_a_dispatcher_that_is_not_started(tmp_path: Path) -> None:
    save_state(small_state(embedder="hashing"), tmp_path / "state")
    config = scripted_config(tmp_path, embedder="hashing", state=tmp_path / "state")
    dispatcher = Dispatcher.from_config(config)
    assert list(dispatcher.fleet.backends) == ["small", "large"]
    assert dispatcher.router.state.models == ("small", "large")
    assert dispatcher.ledger is not None
    assert not dispatcher.ledger.path.exists()


@pytest.mark.parametrize(("embedder", "state"), [("hashing", "nowhere"), ("path:elsewhere", "state")])
def test_a_state_that_is_not_there_or_does_not_fit_is_refused(
    tmp_path: Path, embedder: str, state: str
) -> None:
    save_state(small_state(embedder="hashing"), tmp_path / "state")
    with pytest.raises(StateError, match=r"nowhere|fitted with embedder 'hashing', got 'path:elsewhere'"):
        Dispatcher.from_config(scripted_config(tmp_path, embedder=embedder, state=tmp_path / state))


async def test_a_ledger_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    router = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy())
    dispatcher = Dispatcher(Fleet({}), router, Ledger(tmp_path / "ledger.sqlite"))
    with pytest.raises(ConfigError, match=r"ledger\.path"):
        await dispatcher.start()
    await dispatcher.drain()


async def test_rows_are_written_out_even_where_a_member_cannot_be_drained(tmp_path: Path) -> None:
    class Stuck(ScriptedBackend):
        async def drain(self) -> None:
            raise ZeroDivisionError

    router, path = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy()), tmp_path / "ledger.sqlite"
    dispatcher = Dispatcher(Fleet({"small": Stuck(member("small", {"answer": "x"}))}), router, Ledger(path))
    await dispatcher.start()
    await serve(dispatcher)
    with pytest.raises(ZeroDivisionError):
        await dispatcher.drain()
    assert only_row(path).model == "small"
    assert not {"ledger", "embedder"} & {thread.name for thread in threading.enumerate()}


async def test_without_a_ledger_it_serves_all_the_same() -> None:
    router = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy())
    dispatcher = Dispatcher(Fleet({"small": scripted("small", "It is Paris.", **SURE)}), router)
    await dispatcher.start()
    assert (await serve(dispatcher)).model == "small"
    await dispatcher.drain()


async def test_a_hundred_at_once_are_a_hundred_rows(tmp_path: Path) -> None:
    async with dispatching(tmp_path, UNSURE | {"token_s": 0.001}) as (dispatcher, path):
        answers = await asyncio.gather(*(serve(dispatcher, hold_tokens=2) for _ in range(100)))
        assert {answered.model for answered in answers} == {"large"}
        assert all(
            b.running == 0 for b in dispatcher.fleet.backends.values() if isinstance(b, ScriptedBackend)
        )
        await dispatcher.drain()
    rows = read_ledger(path)
    assert len(rows) == 100
    assert sum(row.cost_usd for row in rows) == pytest.approx(sum(answered.cost_usd for answered in answers))


async def test_where_there_is_nothing_to_choose_the_model_begins_before_the_route_is_known(
    tmp_path: Path,
) -> None:
    async with dispatching(tmp_path) as (dispatcher, ledger):
        small = dispatcher.fleet.backends["small"]
        assert isinstance(small, ScriptedBackend)
        request = Request((Message("user", PROMPT),), id="r1")
        draft = dispatcher.head_start(request, 2, "small")
        assert draft is not None
        await asyncio.sleep(0.01)
        assert small.running == 1
        route = await dispatcher.route(request, "small")
        running = dispatcher.run(request, route, hold_tokens=2, model="small", head_start=draft)
        events = [event async for event in running]
        assert len(small.requests) == 1
        row = await row_of(dispatcher, ledger)
    assert isinstance(events[-1], Answered)
    assert (row.model, row.strategy, row.outcome) == ("small", "pinned", "accepted")
    assert row.completion_tokens == events[-1].usage.completion_tokens == 6


async def test_nothing_begins_early_where_there_is_a_choice_or_none(tmp_path: Path) -> None:
    request = Request((Message("user", PROMPT),), id="r1")
    tools = replace(request, tools=({"type": "function"},))
    async with dispatching(tmp_path) as (dispatcher, _):
        assert dispatcher.head_start(request) is None
        assert dispatcher.head_start(request, model="unheard of") is None
        assert dispatcher.head_start(tools, model="small") is None
        backend = dispatcher.fleet.backends["small"]
        assert isinstance(backend, ScriptedBackend)
        backend.card = replace(backend.card, backend="openai")
        assert dispatcher.head_start(request, model="small") is None, "what is aborted there costs money"


@pytest.mark.parametrize(("model", "expected"), [("auto", 1), ("large", 0)])
async def test_what_a_routed_request_cost_is_told_to_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, expected: int
) -> None:
    spent: list[float] = []
    spend = BudgetKeeper.spend

    def note(self: BudgetKeeper, usd: float) -> None:
        spent.append(usd)
        spend(self, usd)

    monkeypatch.setattr(BudgetKeeper, "spend", note)
    async with dispatching(tmp_path) as (dispatcher, _):
        dispatcher.router.stop()
        router = Router(
            small_state(), EmbeddingQueue(AxisEmbedder()), BudgetPolicy(mode="budget", usd_per_1k=2.5)
        )
        dispatcher.router = router
        router.start()
        router.prepare(dispatcher.fleet.cards())
        answered = await serve(dispatcher, model)
    assert spent == [pytest.approx(answered.cost_usd)] * expected


async def test_no_text_of_a_private_request_is_on_disk_whatever_is_stored(tmp_path: Path) -> None:
    async with dispatching(tmp_path, UNSURE, store_text=True) as (dispatcher, path):
        await serve(dispatcher, private=True)
        row = await row_of(dispatcher, path)
    assert (row.private, row.prompt, row.answer, row.system) == (True, None, None, None)
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240 - all is over
    assert b"Plughtown" not in found
