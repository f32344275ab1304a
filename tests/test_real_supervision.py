"""A real engine that is killed, told to stop beside its server, or orphaned: what clients see, what is left.

One server for the whole file; the last test ends it.
"""

import json
import os
import signal
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from real_server import (
    ROOT,
    Running,
    free_port,
    metrics_of,
    pinnace_serve,
    stand_in_large,
    status_of,
    wait_for,
    wait_ready,
)

pytestmark = pytest.mark.real

SMALL = "smollm2-135m"
LONG = "Write a very long story about the sea, with many chapters, and leave nothing out."
ENDLESS = {"0": -100, "2": -100}
"""Biases of the tokens that end an answer: it goes on to its last allowed token, on any machine."""
SHARED = Path("/dev/shm")


@pytest.fixture(scope="module")
def large_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, large_port: int) -> Generator[Running, None, None]:
    folder = tmp_path_factory.mktemp("supervised")
    raw = yaml.safe_load((ROOT / "router.yaml").read_text(encoding="utf-8"))
    raw["fleet"][0]["engine"] = {"kv_cache_mib": 256}
    raw["server"]["drain_s"] = 120  # a loaded machine is slow, and it is the engine's signals that are tested
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")
    environ = {
        "PINNACE_LARGE_URL": f"http://127.0.0.1:{large_port}/v1",
        "PINNACE_LARGE_KEY": "stand-in-key",
        "HF_HUB_OFFLINE": "1",
    }
    with stand_in_large(large_port, folder), pinnace_serve(config, folder, environ) as running:
        wait_ready(running)
        yield running


def body_of(text: str, model: str = SMALL, **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}


def ask(server: Running, text: str, model: str = SMALL, **fields: object) -> httpx.Response:
    body = body_of(text, model, **fields)
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def ask_long(server: Running, text: str = LONG, max_tokens: int = 2000) -> httpx.Response:
    return ask(server, text, max_tokens=max_tokens, logit_bias=ENDLESS)


def let_run(server: Running, many: int) -> None:
    """Give `many` requests time to be in the engine. What is asserted after it tells whether they were.

    On CI `/metrics` has been asked for ten seconds without their being seen, while they ran (docs/log.md).
    """
    for _ in range(40):
        if f"pinnace_running {many}.0" in metrics_of(server):
            break
        time.sleep(0.2)
    time.sleep(1)


def engine_of(server: Running) -> psutil.Process:
    """The engine's process: the largest child."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return max(children, key=lambda child: child.memory_info().rss)


def state_of(server: Running) -> str:
    found = httpx.get(f"{server.url}/health/ready", timeout=5).json()
    return found["backends"][SMALL]["state"]


def answers_paris(server: Running) -> bool:
    return "Paris" in ask(server, "What is the capital of France?").json()["choices"][0]["message"]["content"]


def test_a_killed_engine_comes_back_and_its_requests_climb_or_are_refused(server: Running) -> None:
    assert answers_paris(server)
    engine = engine_of(server)
    descriptors = psutil.Process(server.process.pid).num_fds()
    with ThreadPoolExecutor(4) as pool:
        pinned = [pool.submit(ask_long, server) for _ in range(2)]
        let_run(server, 2)
        engine.kill()
        wait_for(lambda: state_of(server) == "restarting", server, 60)
        refused = ask(server, "What is the capital of France?")
        routed = ask(server, "What is the capital of France?", model="auto")
        for each in [*(future.result() for future in pinned), refused]:
            assert each.status_code == 503, each.text
            assert int(each.headers["retry-after"]) > 0
            assert each.json()["error"]["code"] == "backend_unavailable"
        assert (routed.status_code, routed.headers["x-pinnace-model"]) == (200, "large")
    detail = httpx.get(f"{server.url}/health/ready").json()["backends"][SMALL]["detail"]
    assert detail == "its engine was killed by SIGKILL"
    wait_for(lambda: state_of(server) == "ready", server, 180)
    assert answers_paris(server)
    assert nothing_is_left_of(engine)
    assert psutil.Process(server.process.pid).num_fds() <= descriptors + 8
    assert engine_of(server).pid != engine.pid


def nothing_is_left_of(engine: psutil.Process) -> bool:
    """No process, no zombie, no shared memory under its id."""
    shared = [*SHARED.glob(f"*_{engine.pid}_*"), *SHARED.glob(f"*-{engine.pid}-*")]
    return not psutil.pid_exists(engine.pid) and not shared


def test_a_request_that_kills_the_engine_twice_is_refused(server: Running) -> None:
    """Twice: the engine is killed by hand while one and the same request runs alone on it."""
    for _ in range(2):
        engine = engine_of(server)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask_long, server, "poison: " + LONG)
            let_run(server, 1)
            engine.kill()
            assert asked.result().status_code == 503
        wait_for(lambda: state_of(server) == "ready", server, 180)
    refused = ask_long(server, "poison: " + LONG)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "poisoned_request"
    assert refused.json()["error"]["param"] == "messages"
    assert answers_paris(server)


def test_sigterm_to_the_whole_group_lets_what_runs_finish_and_leaves_nothing(server: Running) -> None:
    """As `make run` under Ctrl-C and service managers send it: to the engine's process too. Last but one."""
    engine = engine_of(server)
    everybody = psutil.Process(server.process.pid).children(recursive=True)
    body = body_of(
        LONG, max_tokens=600, logit_bias=ENDLESS, stream=True, stream_options={"include_usage": True}
    )
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=120) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert any('"content":"' in line for line in lines)  # up to the first text: the engine is at it
        os.killpg(server.process.pid, signal.SIGTERM)
        *_, usage, done = (line for line in lines if line)
    assert done == "data: [DONE]"
    assert json.loads(usage.removeprefix("data: "))["usage"]["completion_tokens"] == 600
    assert server.process.wait(180) == 0
    wait_for_ends(everybody)
    assert nothing_is_left_of(engine)


def test_an_engine_whose_server_is_killed_ends_too(tmp_path: Path, large_port: int) -> None:
    raw = yaml.safe_load((ROOT / "router.yaml").read_text(encoding="utf-8"))
    raw["fleet"] = [raw["fleet"][0] | {"engine": {"kv_cache_mib": 256}}]
    config = tmp_path / "router.yaml"
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pinnace_serve(config, tmp_path, {"HF_HUB_OFFLINE": "1"}) as orphaning:
        wait_for(lambda: status_of(f"{orphaning.url}/health/ready") == 200, orphaning, 180)
        everybody = psutil.Process(orphaning.process.pid).children(recursive=True)
        orphaning.process.kill()
        wait_for_ends(everybody)


def wait_for_ends(processes: list[psutil.Process]) -> None:
    """Wait until every one has ended."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
