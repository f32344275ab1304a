"""A new configuration takes over without losing a request; a wrong one changes nothing and says why."""

import asyncio
import logging
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_fixtures import configure
from real_server import Running, free_port, pinnace_serve, status_of, wait_for
from server_fixtures import eventually
from test_fit import table_of

from pinnace.config import Config, parse_config
from pinnace.errors import BackendUnavailableError, ConfigError
from pinnace.eval.table_file import write_table
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.dispatch import Dispatcher
from pinnace.router.state import load_state, save_state
from pinnace.server.admin import create_admin
from pinnace.server.app import create_app
from pinnace.server.reload import FIXED, ReloadError, Reloading
from pinnace.server.shifts import Front

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted state."""
    return fit(tmp_path_factory.mktemp("fitted"), clusters=2)


def fit(folder: Path, clusters: int) -> Path:
    """A state in `folder`, by the command that users have."""
    write_table(table_of(100), folder / "outcomes.jsonl")
    config = configure(folder)
    arguments = ["outcomes.jsonl", "-o", "state", "--clusters", str(clusters), "--config", str(config)]
    subprocess.run([sys.executable, "-m", "pinnace", "fit", *arguments], cwd=folder, check=True)
    return folder / "state"


def says(answer: str, name: str = "small", **reply: object) -> dict[str, Any]:
    return {"name": name, "backend": "scripted", "script": [{"answer": answer, **reply}]}


class Place:
    """A server that can be reloaded, without a socket; `raw` is what its router.yaml says now."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw: dict[str, Any] | Exception = raw
        config = self.read()
        dispatcher = Dispatcher.from_config(config)
        self.front = Front(create_app(dispatcher, config.server), dispatcher)
        self.reloading = Reloading(self.read, config, self.front)

    def read(self) -> Config:
        if isinstance(self.raw, Exception):
            raise self.raw
        return parse_config(self.raw, {}, source="router.yaml")

    def change(self, *fleet: dict[str, Any], **sections: Any) -> None:
        assert isinstance(self.raw, dict)
        self.raw = self.raw | sections | ({"fleet": list(fleet)} if fleet else {})

    def http(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.front)
        return httpx.AsyncClient(transport=transport, base_url="http://pinnace", headers=headers)

    def admin(self, url: str = "http://127.0.0.1:8001") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(create_admin(self.reloading)), base_url=url)

    async def ask(self, model: str = "auto", **fields: object) -> httpx.Response:
        async with self.http() as http:
            body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
            return await http.post(CHAT, json=body)

    async def says(self, model: str = "auto") -> str:
        response = await self.ask(model)
        assert response.status_code == 200, response.text
        return response.json()["choices"][0]["message"]["content"]

    @property
    def backends(self) -> dict[str, Any]:
        return self.front.on.dispatcher.fleet.backends


@asynccontextmanager
async def place(
    folder: Path, state: Path, *fleet: dict[str, Any], **sections: Any
) -> AsyncGenerator[Place, None]:
    found = Place(
        {
            "fleet": list(fleet) or [says("old")],
            "router": {"embedder": "hashing", "state": str(state)},
            "ledger": {"path": str(folder / "ledger.sqlite")},
            **sections,
        }
    )
    await found.front.on.dispatcher.start()
    yield found
    await found.reloading.stop()
    app = found.front.on.app
    assert (app.admission.running, app.admission.queued, len(app.lifelines)) == (0, 0, 0)
    await found.front.drain()


async def test_a_new_configuration_takes_over(tmp_path: Path, state: Path, caplog) -> None:
    async with place(tmp_path, state, says("kept", "a"), says("old", "b")) as here:
        kept = here.backends["a"]
        here.change(says("kept", "a"), says("new", "c"))
        with caplog.at_level(logging.INFO):
            done = await here.reloading.reload()
        assert (done.started, done.kept, done.stopped) == (("c",), ("a",), ("b",))
        assert here.backends["a"] is kept
        assert (await here.says("a"), await here.says("c")) == ("kept", "new")
        assert (await here.ask("b")).status_code == 404
        assert "started: c; kept: a; stopping: b" in caplog.text


async def test_a_price_or_a_bound_changes_without_another_engine(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state, says("old", token_s=0.05)) as here:
        engine = here.backends["small"]
        asked = asyncio.create_task(here.says())
        await eventually(lambda: engine.running == 1)
        for price in (3, 4):
            paper = {"price": {"input": 0, "output": price}, "max_running": 1}
            here.change(says("old", token_s=0.05) | paper)
            done = await here.reloading.reload()
            assert (done.started, done.kept, done.stopped) == ((), ("small",), ())
        assert (here.backends["small"].card.output_price, here.backends["small"].inner.inner) == (4, engine)
        assert await asked == "old"
        assert (await here.ask()).json()["pinnace"]["cost_usd"] == pytest.approx(4e-6)
        here.change(says("new"))
        assert (await here.reloading.reload()).started == ("small",)
        assert await here.says() == "new"


async def test_a_request_in_flight_finishes_on_what_it_started_with(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state, says("old word " * 20, token_s=0.01)) as here:
        old = here.front.on
        drained = asyncio.Event()
        old.dispatcher.fleet.backends["small"].drain = _setting(drained)
        asked = asyncio.create_task(here.says())
        await eventually(lambda: old.requests == 1)
        here.change(says("new"))
        await here.reloading.reload()
        assert await here.says() == "new"
        assert not asked.done()
        assert not drained.is_set()
        assert await asked == "old word " * 20
        await asyncio.wait_for(drained.wait(), 5)


def _setting(event: asyncio.Event):
    async def drain() -> None:
        event.set()

    return drain


async def test_no_request_is_lost_while_configurations_come_and_go(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state, says("0 0 0", token_s=0.002), says("kept", "a")) as here:

        async def keep_asking() -> list[str]:
            return [await here.says("small") for _ in range(25)]

        asking = [asyncio.create_task(keep_asking()) for _ in range(8)]
        for number in range(1, 6):
            await asyncio.sleep(0.01)
            here.change(says(" ".join([str(number)] * 3), token_s=0.002), says("kept", "a"))
            await here.reloading.reload()
        answers = [answer for each in asking for answer in await each]
        assert len(answers) == 200
        assert all(len(set(answer.split())) == 1 and len(answer.split()) == 3 for answer in answers)
        assert len(set(answers)) > 2


@pytest.mark.parametrize("wrong", ["yaml", "key", "state", "member"])
async def test_a_wrong_one_leaves_the_old_one_serving_and_says_why(
    wrong: str, tmp_path: Path, state: Path, caplog, monkeypatch
) -> None:
    async with place(tmp_path, state, says("old"), says("kept", "a")) as here:
        on = here.front.on
        if wrong == "yaml":
            here.raw, why = ConfigError("router.yaml: not readable as YAML: line 3"), "line 3"
        elif wrong == "key":
            here.change(says("new") | {"skript": 1})
            why = "fleet.0.skript: unknown key; did you mean 'script'?"
        elif wrong == "state":
            here.change(says("new"), router={"embedder": "hashing", "state": str(tmp_path / "nowhere")})
            why = "nowhere"
        else:
            monkeypatch.setattr(ScriptedBackend, "start", _failing)
            here.change(says("new"), says("kept", "a"))
            why = "fleet.small: did not start: no engine today"
        with pytest.raises(ReloadError, match=why.replace("?", r"\?")):
            await here.reloading.reload()
        assert why in caplog.text
        assert here.front.on is on
        assert await here.says("small") == "old"
        async with here.http() as http:
            assert (await http.get("/health/ready")).status_code == 200


async def _failing(backend: ScriptedBackend) -> None:
    raise BackendUnavailableError("no engine today")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "127.0.0.2"),
        ("port", 9999),
        ("admin", {"port": 9998}),
        ("log_level", "error"),
        ("log_format", "json"),
        ("tracing", {"sample": 0.5}),
    ],
)
async def test_what_cannot_change_live_is_refused_by_name(
    key: str, value: object, tmp_path: Path, state: Path
) -> None:
    async with place(tmp_path, state) as here:
        here.change(says("new"), server={key: value})
        with pytest.raises(ReloadError, match=rf"^server\.{key}: expected .* restart it$"):
            await here.reloading.reload()
        assert await here.says() == "old"
    assert key in FIXED


async def test_keys_limits_and_bounds_change_live(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state) as here:
        here.change(server={"api_keys": ["sk-new"], "limits": {"max_tokens": 7}, "max_running": 3})
        done = await here.reloading.reload()
        assert (done.started, done.kept) == ((), ("small",))
        assert (await here.ask()).status_code == 401
        async with here.http(authorization="Bearer sk-new") as http:
            body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "max_tokens": 8}
            refused = await http.post(CHAT, json=body)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_tokens")
            assert (await http.post(CHAT, json=body | {"max_tokens": 7})).status_code == 200
        assert here.front.on.app.admission.max_running == 3


async def test_who_waits_comes_in_when_there_is_more_room(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state, says("one two", token_s=0.05), server={"max_running": 1}) as here:
        asked = [asyncio.create_task(here.says()) for _ in range(3)]
        await eventually(lambda: here.front.on.app.admission.queued == 2)
        here.change(server={"max_running": 8})
        await here.reloading.reload()
        assert here.front.on.app.admission.queued == 0
        assert await asyncio.gather(*asked) == ["one two"] * 3


async def test_a_state_that_was_fitted_anew_is_taken(tmp_path: Path, state: Path) -> None:
    folder = Path(shutil.copytree(state, tmp_path / "state"))
    async with place(tmp_path, folder) as here:
        embeddings = here.front.on.dispatcher.router.embeddings
        shutil.rmtree(folder)
        save_state(replace(load_state(state), hold_tokens=5), folder)
        await here.reloading.reload()
        router = here.front.on.dispatcher.router
        assert router.state.hold_tokens == 5
        assert router.embeddings is embeddings
        assert await here.says() == "old"


async def test_counters_go_on_and_the_ledger_has_everything(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state) as here:
        await here.says()
        ledger = here.front.on.dispatcher.ledger
        here.change(says("new"))
        await here.reloading.reload()
        await here.says()
        assert here.front.on.dispatcher.ledger is ledger
        async with here.http() as http:
            text = (await http.get("/metrics")).text
        counts = [
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("pinnace_requests_total{") and 'code="200"' in line
        ]
        assert sum(counts) == 2


async def test_another_ledger_is_opened_and_the_old_one_is_written_out(tmp_path: Path, state: Path) -> None:
    from pinnace.router.ledger import read_ledger

    async with place(tmp_path, state) as here:
        await here.says()
        here.change(ledger={"path": str(tmp_path / "other.sqlite")})
        await here.reloading.reload()
        await here.says()
    assert len(read_ledger(tmp_path / "ledger.sqlite")) == len(read_ledger(tmp_path / "other.sqlite")) == 1


async def test_one_reload_at_a_time(tmp_path: Path, state: Path, monkeypatch) -> None:
    async with place(tmp_path, state) as here:
        started = asyncio.Event()

        async def slow(backend: ScriptedBackend) -> None:
            started.set()
            await asyncio.sleep(0.1)

        monkeypatch.setattr(ScriptedBackend, "start", slow)
        here.change(says("new"))
        first = asyncio.create_task(here.reloading.reload())
        await started.wait()
        with pytest.raises(ReloadError, match="a reload is under way"):
            await here.reloading.reload()
        assert await here.says() == "old"
        assert (await first).started == ("small",)
        assert await here.says() == "new"


async def test_a_signal_during_a_reload_is_served_after_it(tmp_path: Path, state: Path, monkeypatch) -> None:
    async with place(tmp_path, state) as here:
        started = asyncio.Event()

        async def slow(backend: ScriptedBackend) -> None:
            started.set()
            await asyncio.sleep(0.05)

        monkeypatch.setattr(ScriptedBackend, "start", slow)
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


async def test_whoever_asked_may_leave(tmp_path: Path, state: Path, monkeypatch) -> None:
    async with place(tmp_path, state) as here:
        monkeypatch.setattr(ScriptedBackend, "start", lambda _: asyncio.sleep(0.05))
        here.change(says("new"))
        asked = asyncio.create_task(here.reloading.reload())
        await asyncio.sleep(0.02)
        asked.cancel()
        await eventually(lambda: here.front.on.dispatcher.fleet.is_ready() and here.front.on.requests == 0)
        await asyncio.sleep(0.1)
        assert await here.says() == "new"


async def test_a_stop_breaks_a_reload_off_and_stops_what_it_had_started(
    tmp_path: Path, state: Path, monkeypatch
) -> None:
    async with place(tmp_path, state, says("old"), says("kept", "a")) as here:
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


async def test_a_reload_before_the_fleet_is_ready_is_refused(tmp_path: Path, state: Path) -> None:
    raw = {
        "fleet": [says("old")],
        "router": {"embedder": "hashing", "state": str(state)},
        "ledger": {"path": str(tmp_path / "ledger.sqlite")},
    }
    with pytest.raises(ReloadError, match="still starting"):
        await Place(raw).reloading.reload()


async def test_a_bug_of_ours_does_not_stop_the_server(tmp_path: Path, state: Path, caplog) -> None:
    async with place(tmp_path, state) as here:
        here.raw = ZeroDivisionError("oh")
        here.reloading.reload_soon()
        await eventually(lambda: "ZeroDivisionError: oh" in caplog.text)
        with pytest.raises(ReloadError, match="the server has a bug"):
            await here.reloading.reload()
        assert await here.says() == "old"


async def test_the_admin_door_reloads_and_says_what_came_of_it(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state) as here, here.admin() as admin:
        here.change(says("new"))
        done = await admin.post("/admin/reload")
        assert done.status_code == 200
        told = done.json()
        assert told.pop("seconds") >= 0
        assert told == {"status": "reloaded", "started": ["small"], "kept": [], "stopped": ["small"]}
        here.change(says("newer"), server={"port": 1})
        refused = await admin.post("/admin/reload")
        error = refused.json()["error"]
        assert refused.status_code == 409
        why = "expected 8000, got 1: it cannot change while the server runs; restart it"
        assert error == {
            "message": f"server.port: {why}",
            "type": "invalid_request_error",
            "param": None,
            "code": "reload_refused",
        }
        assert await here.says() == "new"


async def test_the_admin_door_is_shut_to_web_pages_and_other_paths(tmp_path: Path, state: Path) -> None:
    async with place(tmp_path, state) as here, here.admin() as admin:
        here.change(says("new"))
        foreign = await admin.post("/admin/reload", headers={"origin": "http://evil.example"})
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "not_from_here")
        async with here.admin("http://evil.example:8001") as rebound:
            assert (await rebound.post("/admin/reload")).status_code == 403
        assert (await admin.get("/admin/reload")).status_code == 405
        lost = await admin.post("/admin/other")
        assert (lost.status_code, lost.json()["error"]["code"]) == (404, "not_found")
        for url in ("http://localhost:8001", "http://[::1]:8001"):
            async with here.admin(url) as same:
                assert (await same.post("/admin/reload")).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_the_admin_door_is_on_this_machine_only(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.admin\.host: expected a loopback address"):
        parse_config({"fleet": [says("x")], "server": {"admin": {"host": host, "port": 8001}}}, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_every_loopback_address_is_one(host: str) -> None:
    admin = {"host": host, "port": 8001}
    config = parse_config({"fleet": [says("x")], "server": {"admin": admin}}, {})
    assert config.server.admin is not None
    assert config.server.admin.host == host


def test_a_server_process_reloads_on_a_signal_and_at_its_admin_door(tmp_path: Path, state: Path) -> None:
    port = free_port()
    shutil.copytree(state, tmp_path / "state")
    sections: dict[str, Any] = {"server": {"admin": {"port": port}}}
    config = configure(tmp_path, fleet=[says("one")], **sections)
    with pinnace_serve(config, tmp_path, {}) as running:
        wait_for(lambda: status_of(f"{running.url}/health/ready") == 200, running, 30)
        assert said(running) == "one"
        many = {f"x-{number}": "x" for number in range(40)}
        assert httpx.get(f"{running.url}/health/live", headers=many).status_code == 200
        fewer = {"server": sections["server"] | {"limits": {"headers": 16}}}
        configure(tmp_path, fleet=[says("two")], **fewer)
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said(running) == "two", running, 10)
        assert httpx.get(f"{running.url}/health/live", headers=many).status_code == 431
        config.write_text("fleet: [")
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not readable as YAML" in running.log.read_text(), running, 10)
        refused = httpx.post(f"http://127.0.0.1:{port}/admin/reload")
        assert refused.status_code == 409
        assert "router.yaml: not readable as YAML: line 1" in refused.json()["error"]["message"]
        assert said(running) == "two"
        configure(tmp_path, fleet=[says("three")], **sections)
        assert httpx.post(f"http://127.0.0.1:{port}/admin/reload").status_code == 200
        assert said(running) == "three"
        assert running.stop() == 0
        assert "Traceback" not in running.log.read_text()


def test_an_admin_port_in_use_is_one_line_and_exit_code_one(tmp_path: Path, state: Path) -> None:
    shutil.copytree(state, tmp_path / "state")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = {"port": taken.getsockname()[1]}
        config = configure(tmp_path, fleet=[says("one")], server={"admin": admin})
        with pinnace_serve(config, tmp_path, {}) as running:
            assert running.process.wait(30) == 1
            assert "cannot serve: server.admin: cannot listen: Address already in use" in running.lines()[-1]


def said(running: Running) -> str:
    body = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
    response = httpx.post(f"{running.url}{CHAT}", json=body)
    return response.json()["choices"][0]["message"]["content"]
