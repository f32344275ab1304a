"""Both lines keep one contract: in process over the dispatcher, and over HTTP to a server in front of it."""

import asyncio
import itertools
import json
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from router_fixtures import AxisEmbedder, ToldBackend, failure_of, scripted, small_state
from server_fixtures import ListLedger, eventually, on_a_socket

from pinnace.agents.answer import Escalated, Final, Text
from pinnace.agents.gathering import reply_of
from pinnace.agents.line import Line
from pinnace.agents.local_line import LocalLine
from pinnace.agents.remote_line import RemoteLine
from pinnace.agents.reply import Account, Call, Member, Reply, Sample, Settled
from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.config import Energy, Policy, Server
from pinnace.errors import (
    BackendError,
    BackendUnavailableError,
    DeadlineExceededError,
    NoCapableModelError,
    RequestError,
    UnknownModelError,
)
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.dispatch import Dispatcher
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.router import Router
from pinnace.server.app import create_app

SURE, UNSURE = {"probability": 0.95}, {"probability": 0.4}
ASK = Request((Message("user", "What is the capital of Xyzzyland?"),))
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}

pytestmark = pytest.mark.parametrize("kind", ["local", "remote"])
AS = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


@dataclass
class Place:
    """A line, and the fleet at its end."""

    line: Line
    dispatcher: Dispatcher
    ledger: ListLedger

    def backend(self, name: str) -> ScriptedBackend:
        backend = self.dispatcher.fleet.backends[name]
        assert isinstance(backend, ScriptedBackend)
        return backend

    async def ask(self, request: Request, *args: Any, is_stream: bool = False) -> Reply:
        """The reply, either way."""
        if is_stream:
            return await reply_of(self.line.stream(request, *args), request.n)
        return await self.line.complete(request, *args)

    async def both(self, request: Request, *args: Any) -> list[Reply]:
        """The reply, once whole and once streamed."""
        return [await self.ask(request, *args, is_stream=is_stream) for is_stream in (False, True)]

    async def failures(self, request: Request, *args: Any) -> list[Exception]:
        """How asking fails, once whole and once streamed."""
        asked = [self.ask(request, *args, is_stream=is_stream) for is_stream in (False, True)]
        return [await failure_of(each) for each in asked]


@asynccontextmanager
async def line_over(kind: str, *backends: Backend) -> AsyncGenerator[Place, None]:
    """A line of either kind to a small and a large model, where none are given."""
    backends = backends or (
        scripted("small", "It is Plughtown in the north.", price=1, **SURE),
        scripted("large", "It is 42.", price=100),
    )
    router, ledger = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy()), ListLedger()
    fleet = Fleet({backend.card.name: backend for backend in backends})
    dispatcher = Dispatcher(fleet, router, ledger)  # type: ignore[arg-type]
    await dispatcher.start()
    try:
        if kind == "local":
            yield Place(LocalLine(dispatcher), dispatcher, ledger)
        else:
            async with on_a_socket(create_app(dispatcher, Server())) as port:
                remote = RemoteLine(f"http://127.0.0.1:{port}", timeout_s=4)
                yield Place(remote, dispatcher, ledger)
                await remote.aclose()
    finally:
        await dispatcher.drain()


def able(backend: Any) -> Any:
    """The same, where its card says that it can call tools and keep to a schema."""
    backend.card = replace(backend.card, tools=True, json_schema=True)
    return backend


async def test_an_answer_comes_with_the_account_of_it(kind: str) -> None:
    async with line_over(kind) as place:
        replies = await place.both(ASK)
    for reply in replies:
        (sample,), account = reply.samples, reply.account
        assert sample == Sample("It is Plughtown in the north.")
        assert (account.model, account.rungs, account.escalated) == ("small", ("small",), False)
        assert account.usage == Usage(6, 6)
        assert account.cost_usd == pytest.approx(12e-6)
        assert account.confidence == pytest.approx(0.86, abs=0.01)
        assert account.why.startswith("accepted: confidence 0.86 is at least")
        assert account.joules is None
        assert 0 < account.seconds < 4


async def test_a_climb_is_told_with_all_that_it_cost(kind: str) -> None:
    small, large = scripted("small", "Who knows.", **UNSURE), scripted("large", "It is 42.", price=100)
    small.card = replace(small.card, energy=Energy(input=1, output=2, source="a meter"))
    async with line_over(kind, small, large) as place:
        replies = await place.both(ASK)
    for reply in replies:
        account = reply.account
        assert reply.samples == (Sample("It is 42."),)
        assert (account.model, account.rungs, account.escalated) == ("large", ("small", "large"), True)
        assert account.usage == Usage(6, 3)
        assert account.cost_usd == pytest.approx((8 + 900) * 1e-6)
        assert account.joules == pytest.approx((6 * 1 + 2 * 2) / 1000)


async def test_a_stream_is_who_answers_then_deltas_and_last_the_account(kind: str) -> None:
    async with line_over(kind) as place:
        settled, *deltas, account = [said async for said in place.line.stream(replace(ASK, n=2), "small")]
    assert settled == Settled("small", ("small",), "pinned: the request names small")
    assert isinstance(account, Account)
    pieces = [said for said in deltas if isinstance(said, Delta)]
    assert len(pieces) == len(deltas)
    assert {piece.index for piece in pieces} == {0, 1}
    assert len([piece for piece in pieces if piece.text]) == 12
    assert account.why == "pinned: the request names small"


async def test_a_climb_is_told_before_the_text_that_it_brings(kind: str) -> None:
    small, large = scripted("small", "Who knows.", **UNSURE), scripted("large", "It is 42.", price=100)
    async with line_over(kind, small, large) as place, Session(place.line) as run:
        escalated, *texts, final = [each async for each in run.stream(Step(), "What is it?")]
    assert isinstance(escalated, Escalated)
    assert escalated.model == "large"
    assert "".join(each.text for each in texts if isinstance(each, Text)) == "It is 42."
    assert len(texts) == 3
    assert isinstance(final, Final)


async def test_as_many_samples_as_were_asked_for(kind: str) -> None:
    async with line_over(kind) as place:
        replies = await place.both(replace(ASK, n=3, max_tokens=2))
    for reply in replies:
        assert reply.samples == (Sample("It is ", finish_reason="length"),) * 3
        assert reply.account.usage.completion_tokens == 6


async def test_log_probabilities_are_those_that_were_asked_for(kind: str) -> None:
    async with line_over(kind) as place:
        plain = await place.both(ASK)
        asked = {top: await place.both(replace(ASK, top_logprobs=top)) for top in (0, 1)}
    assert [reply.samples[0].logprobs for reply in plain] == [(), ()]
    for top, replies in asked.items():
        for (sample,) in (reply.samples for reply in replies):
            assert [token.token for token in sample.logprobs][:2] == ["It ", "is "]
            assert {len(token.top) for token in sample.logprobs} == {top}
            assert sample.mean_logprob() == pytest.approx(math.log(0.95))


async def test_tool_calls_are_put_together_with_their_ids(kind: str) -> None:
    def piece(index: int, arguments: str, **fields: str) -> dict[str, Any]:
        named = {"name": fields.pop("name")} if "name" in fields else {}
        return {"index": index, **fields, "function": {**named, "arguments": arguments}}

    opening = piece(0, "", id="call_1", type="function", name="add")
    said = (
        Delta(text="Let me see."),
        Delta(tool_calls=(opening, piece(0, '{"a": '))),
        Delta(tool_calls=(piece(0, "1}"), piece(1, "{}", id="call_2", type="function", name="add"))),
        Delta(finish_reason="tool_calls", usage=Usage(6, 9)),
    )
    calls = Call("call_1", "add", '{"a": 1}'), Call("call_2", "add", "{}")
    async with line_over(kind, able(ToldBackend("small", *said))) as place:
        replies = await place.both(replace(ASK, tools=(TOOL,)))
    for reply in replies:
        assert reply.samples == (Sample("Let me see.", calls, "tool_calls"),)
        assert reply.account.usage == Usage(6, 9)


async def test_what_a_tool_said_goes_back(kind: str) -> None:
    said = Message("assistant", "", {"tool_calls": [Call("call_1", "add", "{}").to_wire()]})
    heard = Message("tool", "3", {"tool_call_id": "call_1"})
    async with line_over(kind, able(scripted("small", "It is 3."))) as place:
        await place.ask(replace(ASK, messages=(*ASK.messages, said, heard), tools=(TOOL,)))
        (asked,) = place.backend("small").requests
    assert asked.messages[1:] == (said, heard)
    assert asked.tools == (TOOL,)


async def test_an_answer_that_breaks_its_schema_is_climbed_past(kind: str) -> None:
    small, large = scripted("small", "Paris!", **SURE), scripted("large", '{"city": "Paris"}', price=100)
    async with line_over(kind, able(small), able(large)) as place:
        reply = await place.ask(replace(ASK, response_format=FORMAT))
        assert place.backend("large").requests[0].response_format == FORMAT
    assert json.loads(reply.samples[0].text) == {"city": "Paris"}
    assert reply.account.rungs == ("small", "large")


@pytest.mark.parametrize(
    ("small", "accept", "model", "rungs"),
    [
        (UNSURE, None, "auto", ("small", "large")),
        (UNSURE, 0.0, "auto", ("small",)),
        (SURE, None, "auto", ("small",)),
        (SURE, 1.0, "auto", ("small", "large")),
        (SURE, 1.0, "small", ("small",)),
    ],
    ids=["doubted", "taken all the same", "taken", "doubted all the same", "named"],
)
async def test_a_call_may_say_from_which_confidence_its_answer_is_taken(
    kind: str, small: dict[str, float], accept: float | None, model: str, rungs: tuple[str, ...]
) -> None:
    fleet = scripted("small", "It is so.", **small), scripted("large", "It is 42.", price=100)
    async with line_over(kind, *fleet) as place:
        replies = [reply for _ in range(2) for reply in await place.both(replace(ASK, accept=accept), model)]
    assert [reply.account.rungs for reply in replies] == [rungs] * 4


@AS
async def test_who_is_cancelled_aborts_what_runs(kind: str, is_stream: bool) -> None:
    slow = scripted("small", "word " * 1000, token_s=0.005)
    async with line_over(kind, slow) as place:
        task = asyncio.create_task(place.ask(replace(ASK, max_tokens=2000), is_stream=is_stream))
        await eventually(lambda: slow.running == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await eventually(lambda: (slow.running, slow.aborted) == (0, 1))
        await eventually(lambda: [row.outcome for row in place.ledger.rows] == ["abandoned"])


async def test_who_stops_reading_a_stream_aborts_what_runs(kind: str) -> None:
    slow = scripted("small", "word " * 1000, token_s=0.005)
    async with line_over(kind, slow) as place:
        async with aclosing(place.line.stream(replace(ASK, max_tokens=2000))) as said:
            async for _ in said:
                break
        await eventually(lambda: (slow.running, slow.aborted) == (0, 1))


async def test_the_requests_own_faults(kind: str) -> None:
    async with line_over(kind) as place:
        unknown = await place.failures(ASK, "gpt")
        incapable = await place.failures(replace(ASK, tools=(TOOL,)))
        barred = replace(ASK, accept=1.5)
        wrong = [*await place.failures(barred), *await place.failures(barred, "small")]
    assert [type(error) for error in (*unknown, *incapable)] == [UnknownModelError] * 2 + [
        NoCapableModelError
    ] * 2
    for error, param, code in [
        *((error, "model", "model_not_found") for error in unknown),
        *((error, "accept", "invalid_value") for error in wrong),
    ]:
        assert isinstance(error, RequestError)
        assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    "fault",
    [{"fault": "refuse"}, {"fault": "cut", "fault_after": 5, "token_s": 0.001}],
    ids=["refused", "cut"],
)
async def test_a_backend_that_cannot_answer(kind: str, fault: dict[str, Any]) -> None:
    async with line_over(kind, scripted("small", "It is Plughtown in the north.", **fault)) as place:
        errors = await place.failures(ASK)
    assert [type(error) for error in errors] == [BackendUnavailableError] * 2
    assert all("scripted" in str(error) for error in errors)


async def test_an_answer_that_ends_too_early_is_no_answer(kind: str) -> None:
    async with line_over(kind, able(ToldBackend("small", Delta("It is")))) as place:
        found = await failure_of(place.ask(ASK, "small"))
    assert type(found) is BackendError
    assert "broke off with 0 of 1 choices finished" in str(found)


async def test_a_deadline_that_passes(kind: str) -> None:
    stuck = scripted("small", "word", fault="stall")
    async with line_over(kind, stuck) as place:
        for is_stream, left_s in itertools.product((False, True), (0.15, -1)):
            request = replace(ASK, deadline=time.monotonic() + left_s)
            error = await failure_of(place.ask(request, is_stream=is_stream))
            assert type(error) is DeadlineExceededError
        await eventually(lambda: stuck.running == 0)


@AS
async def test_at_the_deadline_the_answer_in_hand_is_given(kind: str, is_stream: bool) -> None:
    fleet = scripted("small", "Who knows.", **UNSURE), scripted("large", "x", price=100, fault="stall")
    async with line_over(kind, *fleet) as place:
        request = replace(ASK, deadline=time.monotonic() + 0.3)
        reply = await place.ask(request, is_stream=is_stream)
    assert (reply.samples[0].text, reply.account.rungs) == ("Who knows.", ("small", "large"))
    assert reply.account.why.startswith("not escalated: large: the request's deadline passed")


async def test_members_are_listed_by_price_with_what_their_tokens_take(kind: str) -> None:
    fleet = scripted("large", "x", price=100), scripted("off", "x"), scripted("small", "x", price=0.5)
    fleet[2].card = replace(fleet[2].card, energy=Energy(input=1, output=2, source="a meter"))
    async with line_over(kind, *fleet) as place:
        place.dispatcher.fleet.status["off"] = replace(place.dispatcher.fleet.status["off"], state="failed")
        assert await place.line.members() == (
            Member("small", 0.5, 0.5, (0.001, 0.002)),
            Member("large", 100.0, 100.0),
        )


async def test_the_ledger_has_a_row_of_each_call(kind: str) -> None:
    async with line_over(kind) as place:
        await asyncio.gather(place.ask(ASK), place.ask(replace(ASK, private=True, priority=1)))
        rows = place.ledger.rows
    assert len({row.request_id for row in rows}) == 2
    assert all(row.request_id.startswith("agent-" if kind == "local" else "chatcmpl-") for row in rows)
    assert sorted(row.private for row in rows) == [False, True]
