"""A new configuration takes over without losing a request; a wrong one changes nothing and says why."""

import asyncio
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from reload_places import CHAT, place, says
from server_fixtures import eventually

from pinnace.errors import BackendUnavailableError, ConfigError
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.ledger import read_ledger
from pinnace.router.state import load_state, save_state
from pinnace.server.reload import FIXED, ReloadError


async def test_a_new_configuration_takes_over(tmp_path: Path, fitted_state: Path, caplog) -> None:
    async with place(tmp_path, fitted_state, says("kept", "a"), says("old", "b")) as here:
        kept = here.backends["a"]
        here.change(says("kept", "a"), says("new", "c"))
        with caplog.at_level(logging.INFO):
            done = await here.reloading.reload()
        assert (done.started, done.kept, done.stopped) == (("c",), ("a",), ("b",))
        assert here.backends["a"] is kept
        assert (await here.says("a"), await here.says("c")) == ("kept", "new")
        assert (await here.ask("b")).status_code == 404
        assert "started: c; kept: a; stopping: b" in caplog.text


async def test_a_price_or_a_bound_changes_without_another_engine(tmp_path: Path, fitted_state: Path) -> None:
    async with place(tmp_path, fitted_state, says("old", token_s=0.05)) as here:
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


async def test_a_request_in_flight_finishes_on_what_it_started_with(
    tmp_path: Path, fitted_state: Path
) -> None:
    async with place(tmp_path, fitted_state, says("old word " * 20, token_s=0.01)) as here:
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


async def test_no_request_is_lost_while_configurations_come_and_go(
    tmp_path: Path, fitted_state: Path
) -> None:
    async with place(tmp_path, fitted_state, says("0 0 0", token_s=0.002), says("kept", "a")) as here:

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
    wrong: str, tmp_path: Path, fitted_state: Path, caplog, monkeypatch
) -> None:
    async with place(tmp_path, fitted_state, says("old"), says("kept", "a")) as here:
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
    key: str, value: object, tmp_path: Path, fitted_state: Path
) -> None:
    async with place(tmp_path, fitted_state) as here:
        here.change(says("new"), server={key: value})
        with pytest.raises(ReloadError, match=rf"^server\.{key}: expected .* restart it$"):
            await here.reloading.reload()
        assert await here.says() == "old"
    assert key in FIXED


async def test_keys_limits_and_bounds_change_live(tmp_path: Path, fitted_state: Path) -> None:
    async with place(tmp_path, fitted_state) as here:
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


async def test_who_waits_comes_in_when_there_is_more_room(tmp_path: Path, fitted_state: Path) -> None:
    async with place(
        tmp_path, fitted_state, says("one two", token_s=0.05), server={"max_running": 1}
    ) as here:
        asked = [asyncio.create_task(here.says()) for _ in range(3)]
        await eventually(lambda: here.front.on.app.admission.queued == 2)
        here.change(server={"max_running": 8})
        await here.reloading.reload()
        assert here.front.on.app.admission.queued == 0
        assert await asyncio.gather(*asked) == ["one two"] * 3


async def test_a_state_that_was_fitted_anew_is_taken(tmp_path: Path, fitted_state: Path) -> None:
    folder = Path(shutil.copytree(fitted_state, tmp_path / "state"))
    async with place(tmp_path, folder) as here:
        embeddings = here.front.on.dispatcher.router.embeddings
        shutil.rmtree(folder)
        save_state(replace(load_state(fitted_state), hold_tokens=5), folder)
        await here.reloading.reload()
        router = here.front.on.dispatcher.router
        assert router.state.hold_tokens == 5
        assert router.embeddings is embeddings
        assert await here.says() == "old"


async def test_counters_go_on_and_the_ledger_has_everything(tmp_path: Path, fitted_state: Path) -> None:
    async with place(tmp_path, fitted_state) as here:
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


async def test_another_ledger_is_opened_and_the_old_one_is_written_out(
    tmp_path: Path, fitted_state: Path
) -> None:
    async with place(tmp_path, fitted_state) as here:
        await here.says()
        here.change(ledger={"path": str(tmp_path / "other.sqlite")})
        await here.reloading.reload()
        await here.says()
    assert len(read_ledger(tmp_path / "ledger.sqlite")) == len(read_ledger(tmp_path / "other.sqlite")) == 1
