"""Adapters in the fleet: members of their own on their base's engine, added and removed while it serves.

The engine is a stand-in that says which adapter it was asked for; test_real_adapters.py has a real one.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import tiny_adapter, tiny_base, write_adapter
from reload_places import Place, place
from server_fixtures import eventually

from pinnace.config import VllmMember, parse_config
from pinnace.errors import BackendError, BackendUnavailableError
from pinnace.models import fleet as fleets
from pinnace.models.adapters.backend import adapter_of, can_go_on
from pinnace.models.adapters.engine import EngineAdapters, engine_options
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.fleet import Fleet
from pinnace.models.member_status import MemberStatus
from pinnace.models.supervisor import Supervisor, supervisor_of

BASE: dict[str, Any] = {
    "name": "small",
    "backend": "vllm",
    "weights": ["path:nowhere"],
    "price": {"input": 1, "output": 2},
    "system": "Be brief.",
}


class StandIn:
    """As much of a `VllmBackend` as adapters need: answers with the number of the adapter."""

    def __init__(self, member: VllmMember, slots: int, folder: Path) -> None:
        self.card = card_of(member, backend="vllm", context_window=4096)
        self.adapters = EngineAdapters(slots)
        self.folder: Path | None = None
        self.loaded: dict[int, str] = {}
        self.requests: list[Request] = []
        self.starts = 0
        self.held = asyncio.Event()
        self.held.set()
        self._where = folder

    async def start(self) -> None:
        self.starts += 1
        self.folder = self._where

    async def drain(self) -> None:
        self.folder = None

    def is_dead(self) -> bool:
        return False

    async def wait_death(self) -> str:
        await asyncio.Event().wait()
        return "never"

    async def load_adapter(self, digest: str, folder: Path) -> int:
        number = self.adapters.hold(digest, folder)
        self.loaded[number] = digest
        return number

    async def unload_adapter(self, number: int) -> None:
        if self.adapters.release(number):
            del self.loaded[number]

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        assert not request.adapter or request.adapter in self.loaded
        await self.held.wait()
        yield Delta(f"adapter {request.adapter}", finish_reason="stop", usage=Usage(1, 1))


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The engines that fleets make from now on."""
    made: list[StandIn] = []
    monkeypatch.setenv("PINNACE_CACHE", str(tmp_path / "cache"))
    weights = tiny_base(tmp_path / "base")

    def make(member: VllmMember, slots: int) -> Supervisor:
        made.append(StandIn(member, slots, weights))
        return Supervisor(made[-1])

    monkeypatch.setattr(fleets, "_vllm", make)
    return made


def adapter(folder: Path, name: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    """A section for an adapter in a folder of its own."""
    tiny_adapter(folder / name, seed)
    return {"name": name, "backend": "vllm", "base": "small", "adapter": str(folder / name), **more}


def fleet_of(*members: dict[str, Any]) -> Fleet:
    return Fleet.from_config(parse_config({"fleet": list(members)}, {}))


async def said(fleet: Fleet, name: str, **fields: Any) -> str:
    request = Request((Message("user", "hello"),), **fields)
    return "".join([delta.text async for delta in fleet.serving(name).stream(request)])


async def test_an_adapter_answers_in_its_bases_engine(tmp_path: Path, engines: list[StandIn]) -> None:
    fleet = fleet_of(adapter(tmp_path, "one"), BASE, adapter(tmp_path, "two", seed=1))
    await fleet.start()
    (engine,) = engines
    assert (engine.starts, engine.adapters.slots, len(engine.loaded)) == (1, 8, 2)
    assert await said(fleet, "small") == "adapter 0"
    assert {await said(fleet, "one"), await said(fleet, "two")} == {"adapter 1", "adapter 2"}
    card = fleet.serving("one").card
    assert (card.name, card.context_window, card.output_price, card.tools) == ("one", 4096, 2, True)
    await fleet.drain()
    assert engine.loaded == {}


async def test_it_says_its_own_system_turn_and_sampling(tmp_path: Path, engines: list[StandIn]) -> None:
    own = {"system": "Name the intent.", "sampling": {"temperature": 0.0, "top_p": 0.5}}
    fleet = fleet_of(BASE, adapter(tmp_path, "one", **own))
    await fleet.start()
    await said(fleet, "one")
    await said(fleet, "one", temperature=1.5, is_raw=True)
    first, second = engines[0].requests
    assert next((turn.role, turn.content) for turn in first.messages) == ("system", "Name the intent.")
    assert (first.temperature, first.top_p, second.temperature) == (0.0, 0.5, 1.5)
    assert [turn.role for turn in second.messages] == ["user"]
    turns = (Message("system", "mine"), Message("user", "hello"))
    async for _ in fleet.serving("one").stream(Request(turns)):
        pass
    assert engines[0].requests[-1].messages == turns
    await fleet.drain()


async def test_an_adapter_that_does_not_fit_is_left_out_with_the_reason(
    tmp_path: Path, engines: list[StandIn]
) -> None:
    spoilt = adapter(tmp_path, "spoilt")
    write_adapter(tmp_path / "spoilt", {})
    fleet = fleet_of(BASE, spoilt)
    await fleet.start()
    assert fleet.status["small"].state == "ready"
    assert "spoilt: adapter_model.safetensors: expected lora_A" in fleet.status["spoilt"].detail
    await fleet.drain()


async def test_an_adapter_waits_for_a_base_that_did_not_start(
    tmp_path: Path, engines: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: StandIn) -> None:
        raise BackendUnavailableError("no memory")

    monkeypatch.setattr(StandIn, "start", refuse)
    fleet = fleet_of(BASE, adapter(tmp_path, "one"))
    with pytest.raises(BackendError, match="one: its base small does not serve"):
        await fleet.start()


async def test_an_adapter_is_away_while_its_engine_is(tmp_path: Path, engines: list[StandIn]) -> None:
    fleet = fleet_of(BASE, adapter(tmp_path, "one"))
    await fleet.start()
    supervisor = supervisor_of(fleet.backends["small"])
    assert supervisor is not None
    supervisor.tell(MemberStatus("restarting", "killed"))
    assert [status.state for status in fleet.status.values()] == ["restarting", "restarting"]
    assert fleet.cards() == ()
    supervisor.tell(MemberStatus("ready"))
    assert [card.name for card in fleet.cards()] == ["small", "one"]
    await fleet.drain()


async def answer(here: Place, name: str) -> str:
    """The number of the adapter that answers as `name`."""
    return (await here.says(name)).removeprefix("adapter ")


async def test_adapters_come_and_go_without_another_engine(
    tmp_path: Path, fitted_state: Path, engines: list[StandIn]
) -> None:
    one, two = adapter(tmp_path, "one"), adapter(tmp_path, "two", seed=1)
    async with place(tmp_path, fitted_state, BASE, one) as here:
        engines[0].held.clear()
        asked = asyncio.create_task(here.says("one"))
        await eventually(lambda: len(engines[0].requests) == 1)
        here.change(BASE, one, two)
        done = await here.reloading.reload()
        assert (done.started, done.kept, done.stopped) == (("two",), ("small", "one"), ())
        here.change(BASE, two)
        done = await here.reloading.reload()
        assert (done.started, done.kept, done.stopped) == ((), ("small", "two"), ("one",))
        assert len(engines[0].loaded) == 2  # the request that runs still needs the first
        engines[0].held.set()
        assert await asked == "adapter 1"
        await eventually(lambda: list(engines[0].loaded) == [2])
        assert (await here.ask("one")).status_code == 404
        assert await answer(here, "two") == "2"
        assert (len(engines), engines[0].starts) == (1, 1)


async def test_an_adapter_whose_files_were_replaced_is_loaded_anew(
    tmp_path: Path, fitted_state: Path, engines: list[StandIn]
) -> None:
    one = adapter(tmp_path, "one")
    async with place(tmp_path, fitted_state, BASE, one) as here:
        assert await answer(here, "one") == "1"
        assert (await here.reloading.reload()).kept == ("small", "one")
        tiny_adapter(tmp_path / "one", seed=5)
        assert await answer(here, "one") == "1"
        done = await here.reloading.reload()
        assert (done.started, done.kept) == (("one",), ("small",))
        assert await answer(here, "one") == "2"
        await eventually(lambda: list(engines[0].loaded) == [2])


async def test_a_spoilt_replacement_is_refused_and_the_old_one_serves_on(
    tmp_path: Path, fitted_state: Path, engines: list[StandIn]
) -> None:
    from pinnace.server.reload import ReloadError

    one = adapter(tmp_path, "one")
    async with place(tmp_path, fitted_state, BASE, one) as here:
        write_adapter(tmp_path / "one", {})
        with pytest.raises(ReloadError, match=r"fleet.one: did not start: one: .*got no tensor"):
            await here.reloading.reload()
        assert await answer(here, "one") == "1"


async def test_a_base_goes_on_as_long_as_it_has_places(tmp_path: Path, engines: list[StandIn]) -> None:
    def config(count: int) -> Any:
        adapters = [{**one, "name": f"a{number}"} for number in range(count)]
        return parse_config({"fleet": [BASE, *adapters]}, {})

    one = adapter(tmp_path, "one")
    before = config(1)
    fleet = Fleet.from_config(before)
    base, engine = before.fleet[0], fleet.backends["small"]
    assert [can_go_on(base, before, config(n), engine) for n in (0, 8, 9)] == [True, True, False]
    assert adapter_of(engine) is None


async def test_an_adapter_of_a_changed_base_is_told_so(tmp_path: Path, engines: list[StandIn]) -> None:
    one = adapter(tmp_path, "one")
    before = parse_config({"fleet": [BASE, one]}, {})
    after = parse_config({"fleet": [{**BASE, "price": {"input": 5, "output": 5}}, one]}, {})
    fleet = Fleet.from_config(before)
    await fleet.start()
    backend = fleet.backends["one"]
    assert can_go_on(before.fleet[1], before, before, backend)
    assert not can_go_on(after.fleet[1], before, after, backend)
    await fleet.drain()


def test_a_number_belongs_to_a_content_and_is_never_used_again() -> None:
    adapters = EngineAdapters(4)
    first, same, other = (adapters.hold(digest, Path(digest)) for digest in ("a", "a", "b"))
    assert (first, same, other) == (1, 1, 2)
    assert not adapters.release(1)
    assert adapters.release(1)
    assert adapters.hold("a", Path("a")) == 3
    with pytest.raises(BackendUnavailableError, match="no adapter 1 any more"):
        adapters.request(1)
    assert adapters.request(0) is None


def test_an_engine_without_adapters_is_told_nothing_of_them() -> None:
    assert engine_options(0, 32) == {}
    assert engine_options(4, 16)["max_loras"] == 4


async def test_an_adapter_that_was_never_loaded_says_so(tmp_path: Path, engines: list[StandIn]) -> None:
    fleet = fleet_of(BASE, adapter(tmp_path, "one"))
    with pytest.raises(BackendUnavailableError, match="one: the adapter is not loaded"):
        async for _ in fleet.backends["one"].stream(replace(Request(()), adapter=1)):
            pass
