"""Reloads that come at once, are broken off, or meet a bug: one at a time, and what serves goes on."""

import asyncio
from pathlib import Path

import pytest
from reload_places import Place, place, says
from server_fixtures import eventually

from pinnace.errors import ConfigError
from pinnace.models.scripted import ScriptedBackend
from pinnace.server.reload import ReloadError


def start_slowly(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Engines take a moment to start from now on; what is given is set when one has begun."""
    started = asyncio.Event()

    async def slow(backend: ScriptedBackend) -> None:
        started.set()
        await asyncio.sleep(0.1)

    monkeypatch.setattr(ScriptedBackend, "start", slow)
    return started


async def test_one_reload_at_a_time(tmp_path: Path, fitted_state: Path, monkeypatch) -> None:
    async with place(tmp_path, fitted_state) as here:
        started = start_slowly(monkeypatch)
        here.change(says("new"))
        first = asyncio.create_task(here.reloading.reload())
        await started.wait()
        with pytest.raises(ReloadError, match="a reload is under way"):
            await here.reloading.reload()
        assert await here.says() == "old"
        assert (await first).started == ("small",)
        assert await here.says() == "new"


async def test_a_signal_during_a_reload_is_served_after_it(
    tmp_path: Path, fitted_state: Path, monkeypatch
) -> None:
    async with place(tmp_path, fitted_state) as here:
        started = start_slowly(monkeypatch)
        here.change(says("new"))
        here.reloading.reload_soon()
        await started.wait()
        here.change(says("newest"))
        here.reloading.reload_soon()
        here.reloading.reload_soon()
        await eventually(lambda: here.backends["small"].script[0].answer == "newest")
        assert await here.says() == "newest"
        here.raw = ConfigError("router.yaml: broken")
        here.reloading.reload_soon()
        here.reloading.reload_soon()
        await here.reloading.stop()
        assert await here.says() == "newest"


async def test_whoever_asked_may_leave(tmp_path: Path, fitted_state: Path, monkeypatch) -> None:
    async with place(tmp_path, fitted_state) as here:
        monkeypatch.setattr(ScriptedBackend, "start", lambda _: asyncio.sleep(0.05))
        here.change(says("new"))
        asked = asyncio.create_task(here.reloading.reload())
        await asyncio.sleep(0.02)
        asked.cancel()
        await eventually(lambda: here.front.on.dispatcher.fleet.is_ready() and here.front.on.requests == 0)
        await asyncio.sleep(0.1)
        assert await here.says() == "new"


async def test_a_stop_breaks_a_reload_off_and_stops_what_it_had_started(
    tmp_path: Path, fitted_state: Path, monkeypatch
) -> None:
    async with place(tmp_path, fitted_state, says("old"), says("kept", "a")) as here:
        drained: list[str] = []

        async def drain(backend: ScriptedBackend) -> None:
            drained.append(backend.card.name)

        async def start(backend: ScriptedBackend) -> None:
            await asyncio.sleep(0 if backend.card.name == "b" else 60)

        monkeypatch.setattr(ScriptedBackend, "start", start)
        monkeypatch.setattr(ScriptedBackend, "drain", drain)
        here.change(says("kept", "a"), says("new", "b"), says("newer", "c"))
        asked = asyncio.create_task(here.reloading.reload())
        await asyncio.sleep(0.2)
        await here.reloading.stop()
        with pytest.raises(ReloadError, match="the server is stopping"):
            await asked
        assert sorted(drained) == ["b", "c"]
        assert await here.says("small") == "old"
        with pytest.raises(ReloadError, match="the server is stopping"):
            await here.reloading.reload()


async def test_a_reload_before_the_fleet_is_ready_is_refused(tmp_path: Path, fitted_state: Path) -> None:
    raw = {
        "fleet": [says("old")],
        "router": {"embedder": "hashing", "state": str(fitted_state)},
        "ledger": {"path": str(tmp_path / "ledger.sqlite")},
    }
    with pytest.raises(ReloadError, match="still starting"):
        await Place(raw).reloading.reload()


async def test_a_bug_of_ours_does_not_stop_the_server(tmp_path: Path, fitted_state: Path, caplog) -> None:
    async with place(tmp_path, fitted_state) as here:
        here.raw = ZeroDivisionError("oh")
        here.reloading.reload_soon()
        await eventually(lambda: "ZeroDivisionError: oh" in caplog.text)
        with pytest.raises(ReloadError, match="the server has a bug"):
            await here.reloading.reload()
        assert await here.says() == "old"
