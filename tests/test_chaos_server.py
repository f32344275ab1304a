"""Any schedule of faults, clients, deadlines and reloads: one ending each, no chunk lost, the books right."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from server_fixtures import ListLedger, ScriptedDispatcher, eventually, member

from pinnace.config import Server
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.renewal import start_beside
from pinnace.server.app import App, create_app
from pinnace.server.metrics import Metrics
from pinnace.server.shifts import Front

WORDS = 8
TICK_S = 0.001
TOO_SLOW = 60
"""Ticks a chunk with which a client is cut for taking nothing."""
BOUNDS = {"max_running": 4, "max_queue": 4, "max_tokens_in_flight": 4000, "write_timeout_s": 0.02}


def line(when: str, name: str, **reply: object) -> dict[str, object]:
    """Every word of an answer is another one, so that a lost or doubled one shows."""
    return {"when": when, "answer": " ".join(f"{name}{n}" for n in range(WORDS)), **reply}


def script(name: str, probability: float) -> list[dict[str, object]]:
    """One line for each way that a model may do."""
    plain = {"probability": probability, "token_s": TICK_S}
    return [
        line("refused", name, fault="refuse"),
        line("cut at once", name, fault="cut", **plain),
        line("cut in the window", name, fault="cut", fault_after=2, **plain),
        line("cut later", name, fault="cut", fault_after=5, **plain),
        line("stalled at once", name, fault="stall", **plain),
        line("stalled later", name, fault="stall", fault_after=5, **plain),
        line("slow", name, first_token_s=10 * TICK_S, **plain),
        line("", name, **plain),
    ]


FAULTS = [
    "refused",
    "cut at once",
    "cut in the window",
    "cut later",
    "stalled at once",
    "stalled later",
    "slow",
    "",
]


@dataclass(frozen=True)
class Plan:
    """What one client does: `leaves` after so many messages, or ticks, or not; `takes` ticks a chunk."""

    fault: str
    model: str
    stream: bool
    comes: int
    batch: bool
    deadline: int
    leaves_at: int | None
    leaves_in: int | None
    takes: int


plans = st.builds(
    Plan,
    fault=st.sampled_from(FAULTS),
    model=st.sampled_from(["auto", "auto", "sure", "unsure", "large", "nobody"]),
    stream=st.booleans(),
    comes=st.integers(0, 20),
    batch=st.booleans(),
    deadline=st.sampled_from([1, 5, 20, 100]),
    leaves_at=st.none() | st.integers(0, 12),
    leaves_in=st.none() | st.integers(0, 40),
    takes=st.sampled_from([0, 0, 0, 1, TOO_SLOW]),
)


@dataclass
class Client:
    """One request at the seam to uvicorn, which it imitates: a client that has left is heard of at once."""

    plan: Plan
    messages: list[Any] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    has_left: bool = False
    is_whole: bool = False
    is_sent: bool = False

    async def ask(self, front: Front) -> None:
        plan = self.plan
        await asyncio.sleep(plan.comes * TICK_S)
        if plan.leaves_in is not None:
            asyncio.get_running_loop().call_later(plan.leaves_in * TICK_S, self.leave)
        headers = [
            (b"content-type", b"application/json"),
            (b"x-pinnace-timeout-s", b"%f" % (plan.deadline * TICK_S)),
        ]
        headers += [(b"x-pinnace-priority", b"batch")] if plan.batch else []
        path = "/v1/chat/completions"
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        await front(scope, self.receive, self.send)
        self.has_left = self.has_left or (not self.is_whole and plan.stream and plan.takes == TOO_SLOW)
        assert self.is_whole or self.has_left, "every request has an ending"

    def leave(self) -> None:
        self.has_left = self.has_left or not self.is_whole
        self.gone.set()

    async def receive(self) -> Any:
        if not self.is_sent:
            self.is_sent = True
            said = [{"role": "user", "content": self.plan.fault or "well"}]
            body = {"model": self.plan.model, "messages": said, "stream": self.plan.stream, "max_tokens": 99}
            return {"type": "http.request", "body": json.dumps(body).encode()}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        assert not self.is_whole, "nothing may follow the end of an answer"
        if not self.gone.is_set():
            await asyncio.sleep(self.plan.takes * TICK_S)
            self.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.is_whole = True
            self.gone.set()
        elif self.plan.leaves_at is not None and len(self.messages) >= self.plan.leaves_at:
            self.leave()

    def check(self) -> str:
        """The text of a whole answer; nothing where it has another ending."""
        if self.has_left or not self.messages:
            return ""
        status = self.messages[0]["status"]
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        if status != 200:
            assert set(json.loads(body)) == {"error"}
            return ""
        return self._streamed(body) if self.plan.stream else _said(json.loads(body)["choices"][0]["message"])

    def _streamed(self, body: bytes) -> str:
        events = [each.removeprefix("data: ") for each in body.decode().split("\n\n") if each]
        is_done = events[-1] == "[DONE]"
        chunks = [json.loads(each) for each in (events[:-1] if is_done else events)]
        errors = [chunk for chunk in chunks if "error" in chunk]
        assert len(errors) + is_done == 1, "one terminal event"
        assert not errors or errors == chunks[-1:]
        text = "".join(
            choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ())
        )
        words = text.split()
        assert words == [f"{words[0][0]}{n}" for n in range(len(words))], "no chunk lost or doubled"
        return text if is_done else ""


def _said(message: dict[str, Any]) -> str:
    return message["content"]


def dispatcher_of(old: ScriptedDispatcher | None = None) -> ScriptedDispatcher:
    """A fleet of three; of an older dispatcher the member `sure` and the ledger are kept."""
    chances = {"unsure": 0.2, "sure": 0.9, "large": 0.9}
    made = {name: ScriptedBackend(member(name, *script(name[0], chances[name]))) for name in chances}
    if old is None:
        return ScriptedDispatcher(Fleet(made))
    new = ScriptedDispatcher(Fleet(made | {"sure": old.fleet.backends["sure"]}))
    new.ledger = old.ledger
    return new


async def reload(front: Front, server: dict[str, Any]) -> None:
    """What `Reloading` does, without files."""
    old = front.on
    assert isinstance(old.dispatcher, ScriptedDispatcher)
    new = dispatcher_of(old.dispatcher)
    config = Server.model_validate(BOUNDS | server)
    await start_beside(new, old.dispatcher)
    app = App(new, config, old.app.standing)
    new.fleet.take_over(old.dispatcher.fleet)
    front.relieve(app, new, config)


async def chaos(found: Sequence[Plan], reloads: Sequence[tuple[int, int]]) -> None:
    before = asyncio.all_tasks()
    dispatcher = dispatcher_of()
    await dispatcher.start()
    app = create_app(dispatcher, Server.model_validate(BOUNDS))
    front, backends = Front(app, dispatcher), list(dispatcher.fleet.backends.values())
    clients = [Client(plan) for plan in found]
    asking = [asyncio.create_task(client.ask(front)) for client in clients]
    for pause, max_running in reloads:
        await asyncio.sleep(pause * TICK_S)
        await reload(front, {"max_running": max_running})
        backends += front.on.dispatcher.fleet.backends.values()
    await asyncio.gather(*asking)
    await front.drain()
    await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
    assert (app.admission.running, app.admission.queued, app.admission.tokens) == (0, 0, 0)
    assert len(app.lifelines) == 0
    assert all(isinstance(backend, ScriptedBackend) and backend.running == 0 for backend in backends)
    check_books(app.metrics, dispatcher.ledger, clients)


def check_books(metrics: Metrics, ledger: ListLedger, clients: Sequence[Client]) -> None:
    """The metrics have every request, and the ledger every one that ran, as its client saw it."""
    texts = [client.check() for client in clients]
    rows = ledger.rows
    accepted = [row for row in rows if row.outcome == "accepted"]
    left = sum(client.has_left for client in clients)
    answered = sum(bool(text) for text in texts)
    assert answered <= len(accepted) <= answered + left
    assert len({row.request_id for row in rows}) == len(rows) <= len(clients)
    assert total(metrics, "pinnace_requests_total") == len(clients)
    attempts = [attempt for row in rows for attempt in json.loads(row.attempts)]
    for verdict in ("accepted", "climbed", "failed", "abandoned"):
        told = sum(attempt["verdict"] == verdict for attempt in attempts)
        assert total(metrics, "pinnace_attempts_total", verdict=verdict) == told


def total(metrics: Metrics, name: str, **labels: str) -> float:
    samples = (sample for family in metrics.registry.collect() for sample in family.samples)
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(plans, min_size=1, max_size=14),
    st.lists(st.tuples(st.integers(0, 15), st.integers(1, 6)), max_size=3),
)
def test_whatever_happens_every_request_ends_once_and_is_written_down(
    found: list[Plan], reloads: list[tuple[int, int]]
) -> None:
    asyncio.run(asyncio.wait_for(chaos(found, reloads), 20))


def test_two_hundred_in_flight_while_configurations_come_and_go() -> None:
    calm = Plan("", "auto", True, 0, batch=False, deadline=10_000, leaves_at=None, leaves_in=None, takes=0)
    asyncio.run(asyncio.wait_for(many(calm), 60))


async def many(plan: Plan) -> None:
    dispatcher = dispatcher_of()
    await dispatcher.start()
    app = create_app(dispatcher, Server(max_running=32, max_queue=1000))
    front = Front(app, dispatcher)
    clients = [Client(plan) for _ in range(200)]
    asking = [asyncio.create_task(client.ask(front)) for client in clients]
    for max_running in (1, 64, 2, 128):
        await asyncio.sleep(5 * TICK_S)
        await reload(front, {"max_running": max_running, "max_queue": 1000})
    await asyncio.gather(*asking)
    await front.drain()
    assert all(client.check().split() == [f"l{n}" for n in range(WORDS)] for client in clients)
    check_books(app.metrics, dispatcher.ledger, clients)


def test_a_thousand_idle_streams_cost_nothing_once_their_clients_have_gone() -> None:
    asyncio.run(asyncio.wait_for(idle(), 60))


async def idle() -> None:
    dispatcher = dispatcher_of()
    await dispatcher.start()
    app = create_app(dispatcher, Server(max_running=1000))
    front, before = Front(app, dispatcher), asyncio.all_tasks()
    plan = Plan("stalled later", "sure", True, 0, False, 60_000, leaves_at=None, leaves_in=None, takes=0)
    clients = [Client(plan) for _ in range(1000)]
    asking = [asyncio.create_task(client.ask(front)) for client in clients]
    await eventually(lambda: all(len(client.messages) > 1 for client in clients))
    assert (app.admission.running, dispatcher.fleet.backends["sure"].running) == (1000, 1000)
    for client in clients:
        client.leave()
    await asyncio.gather(*asking)
    assert (app.admission.running, len(app.lifelines), dispatcher.fleet.backends["sure"].running) == (0, 0, 0)
    await eventually(lambda: asyncio.all_tasks() <= before)
    assert [row.outcome for row in dispatcher.ledger.rows] == ["abandoned"] * 1000
