"""The admin door: it reloads, says what came of it, and is open to this machine alone."""

import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_fixtures import configure
from real_server import Running, free_port, pinnace_serve, status_of, wait_for
from reload_places import CHAT, place, says

from pinnace.config import parse_config
from pinnace.errors import ConfigError


async def test_the_admin_door_reloads_and_says_what_came_of_it(tmp_path: Path, fitted_state: Path) -> None:
    async with place(tmp_path, fitted_state) as here, here.admin() as admin:
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


async def test_the_admin_door_is_shut_to_web_pages_and_other_paths(
    tmp_path: Path, fitted_state: Path
) -> None:
    async with place(tmp_path, fitted_state) as here, here.admin() as admin:
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


def test_a_server_process_reloads_on_a_signal_and_at_its_admin_door(
    tmp_path: Path, fitted_state: Path
) -> None:
    port = free_port()
    shutil.copytree(fitted_state, tmp_path / "state")
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


def test_an_admin_port_in_use_is_one_line_and_exit_code_one(tmp_path: Path, fitted_state: Path) -> None:
    shutil.copytree(fitted_state, tmp_path / "state")
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
