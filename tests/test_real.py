"""The whole path with real models: the server on vLLM, a stand-in for the large model, the openai client.

One engine for the whole file. The small model is the real SmolLM2-135M; the large one is a second
process that stands in for it (`stand_in_large.py`).
"""

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import aiohttp
import httpx
import openai
import pytest
from questions import QUESTIONS
from real_server import (
    ROOT,
    Running,
    free_port,
    pinnace_serve,
    stand_in_large,
    status_of,
    wait_for,
    wait_ready,
)

from pinnace.config import VllmMember, load_config
from pinnace.models.completion import Message
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.weights import default_cache, resolve_weights
from pinnace.router.ledger import read_ledger

pytestmark = pytest.mark.real

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
LOCAL = {each.name for each in load_config(ROOT / "router.yaml", {}).fleet if each.backend == "vllm"}
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d .+|^\(?\w+.* (INFO|WARNING|ERROR) .+|^\[W\d+ .+|^\s*$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def large_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(folder: Path, large_port: int) -> Generator[Running, None, None]:
    environ = {
        "PINNACE_LARGE_URL": f"http://127.0.0.1:{large_port}/v1",
        "PINNACE_LARGE_KEY": "stand-in-key",
        "HF_HUB_OFFLINE": "1",
    }
    with pinnace_serve(ROOT / "router.yaml", folder, environ) as running:
        wait_ready(running)
        yield running


@pytest.fixture
def client(server: Running) -> Generator[openai.OpenAI, None, None]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as found:
        yield found


def ledger_of(server: Running) -> dict[str, object]:
    return {row.request_id: row for row in read_ledger(server.folder / ".pinnace" / "ledger.sqlite")}


def python_of_the_readme() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_what_the_readme_says_of_the_python_client_runs(server: Running, capsys: pytest.CaptureFixture[str]):
    code, _ = python_of_the_readme()
    address = "http://127.0.0.1:8000"
    assert address in code
    exec(compile(code.replace(address, server.url), "README.md", "exec"), {})
    answer, route = capsys.readouterr().out.strip().rsplit("\n", 1)
    assert "Paris" in answer
    assert "'model': 'smollm2-135m'" in route


def test_what_the_readme_says_of_pipelines_runs(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    _, code = python_of_the_readme()
    exec(compile(code.replace("http://127.0.0.1:8000", server.url), "README.md", "exec"), {})
    answer, *tree = capsys.readouterr().out.strip().splitlines()
    assert "Paris" in answer
    assert "smollm2-135m" in tree[-1]
    assert "accepted" in tree[-1]


@pytest.mark.parametrize("model", ["auto", "smollm2-135m"])
def test_the_capital_of_france_is_paris(client, model):
    whole = client.chat.completions.create(model=model, messages=FRANCE, temperature=0)
    assert "Paris" in whole.choices[0].message.content
    stream = client.chat.completions.create(model=model, messages=FRANCE, temperature=0, stream=True)
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_usage_is_what_the_engine_counted(client):
    config = load_config(ROOT / "router.yaml", {})
    member = config.fleet[0]
    assert isinstance(member, VllmMember)
    weights = resolve_weights(member.weights, cache=default_cache(), offline=True)
    prompt = ChatTokenizer(weights.folder).render_now([Message("user", FRANCE[0]["content"])], member.system)
    asked = {"model": "smollm2-135m", "messages": FRANCE, "temperature": 0, "logprobs": True}
    whole = client.chat.completions.create(**asked)
    assert whole.usage.prompt_tokens == len(prompt)
    assert whole.usage.completion_tokens == len(whole.choices[0].logprobs.content)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    told = chunks[-1].usage
    assert (told.prompt_tokens, told.total_tokens) == (whole.usage.prompt_tokens, whole.usage.total_tokens)


def test_a_prompt_that_begins_as_another_did_is_read_from_where_it_differs(client):
    shared = " ".join(f"Rule {number}: answer question {number * number}." for number in range(40))

    def cached(question: str) -> int:
        turns = [{"role": "user", "content": f"{shared} {question}"}]
        asked = client.chat.completions.create(model="smollm2-135m", messages=turns, max_tokens=4)
        assert asked.usage.prompt_tokens > 400
        return asked.usage.prompt_tokens_details.cached_tokens

    assert cached("What is the capital of France?") < 100
    assert cached("Which rule is the last?") > 350


def test_errors_are_the_clients_own_exceptions(client):
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-nothing'"):
        client.chat.completions.create(model="gpt-nothing", messages=FRANCE)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="auto", messages=FRANCE, temperature=9)
    long = [{"role": "user", "content": "word " * 10_000}]
    with pytest.raises(openai.BadRequestError, match="context window of 8192 tokens"):
        client.chat.completions.create(model="smollm2-135m", messages=long)
    huge = [{"role": "user", "content": "x" * 3_000_000}]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="auto", messages=huge)
    assert refused.value.status_code == 413


def test_forty_questions_are_accepted_and_escalated_and_the_accounts_agree(
    server, client, large_port, folder
):
    with stand_in_large(large_port, folder):
        answers = [ask(client, question.text) for question in QUESTIONS]
    check_accounts(server, answers)
    models = Counter(headers["x-pinnace-model"] for headers, _ in answers)
    escalated = [body for _, body in answers if body["pinnace"]["escalated"]]
    assert models["smollm2-135m"] > 0, models
    assert escalated, models
    for body in escalated:
        row = ledger_of(server)[body["id"]]
        spent = [attempt["cost_usd"] for attempt in json.loads(row.attempts)]
        assert len(spent) == body["pinnace"]["route"].count(">") + 1 >= 2
        assert min(spent) > 0
        assert row.cost_usd == pytest.approx(sum(spent))


def test_no_request_is_lost_when_the_large_model_dies_in_the_middle(server, client, large_port, folder):
    with stand_in_large(large_port, folder, word_s=0.2) as large, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, client, question.text) for question in QUESTIONS]
        wait_for(lambda: "large" in answerers(asked), server, 60)
        assert not all(each.done() for each in asked)
        large.process.kill()
    answers = [each.result() for each in asked]
    assert len(answers) == 40
    check_accounts(server, answers)
    assert {"large", "smollm2-135m"} <= set(answerers(asked)) <= {"large", *LOCAL}
    told = [
        body["pinnace"]["why"]
        for headers, body in answers
        if headers["x-pinnace-model"] in LOCAL and "large" in body["pinnace"]["route"]
    ]
    assert told
    assert all(why.startswith("not escalated: large: ") for why in told)


def answerers(asked: list[Future]) -> list[str]:
    """Which models have answered so far."""
    return [each.result()[0]["x-pinnace-model"] for each in asked if each.done()]


def test_a_stream_whose_escalation_fails_is_answered_by_the_small_model(client):
    question = next(question.text for question in QUESTIONS if question.text.startswith("Maria"))
    stream = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": question}], stream=True
    )
    chunks = list(stream)
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks)) > 10
    assert chunks[-1].model_extra["pinnace"]["why"].startswith("not escalated: large: ")


def ask(client: openai.OpenAI, question: str) -> tuple[httpx.Headers, dict[str, object]]:
    raw = client.chat.completions.with_raw_response.create(
        model="auto", temperature=0, max_tokens=64, messages=[{"role": "user", "content": question}]
    )
    return raw.headers, json.loads(raw.text)


def check_accounts(server: Running, answers: list[tuple[httpx.Headers, dict[str, object]]]) -> None:
    """Headers, body and ledger say the same of every answer."""
    ids = {body["id"] for _, body in answers}
    wait_for(lambda: ids <= ledger_of(server).keys(), server, 10)
    ledger = ledger_of(server)
    for headers, body in answers:
        row, told = ledger[body["id"]], body["pinnace"]
        assert headers["x-pinnace-model"] == told["model"] == row.model
        assert headers["x-pinnace-route"] == row.route
        assert float(headers["x-pinnace-cost-usd"]) == pytest.approx(row.cost_usd, abs=1e-9)
        assert float(headers["x-pinnace-confidence"]) == pytest.approx(row.confidence, abs=1e-4)
        assert told["why"] == row.why
        assert bool(row.escalated) == told["escalated"]


async def test_a_thousand_requests_from_two_hundred_connections(server):
    lines_before = len(server.lines())
    outcomes: Counter[int] = Counter()
    left = iter(range(1000))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in left:
            body = {
                "model": "smollm2-135m",
                "max_tokens": 4,
                "stream": number % 2 == 0,
                "messages": [{"role": "user", "content": f"Say the number {number}."}],
            }
            async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
                text = await response.text()
                is_whole = '"finish_reason"' in text and ("[DONE]" in text) == body["stream"]
                is_refusal = response.status in (429, 503) and "retry-after" in response.headers
                assert is_whole if response.status == 200 else is_refusal, (response.status, text[:300])
                outcomes[response.status] += 1

    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200), timeout=timeout) as session:
        await asyncio.gather(*(work(session) for _ in range(200)))
    assert outcomes.total() == 1000
    assert outcomes[200] > 0
    wait_for(lambda: gauge(server, "pinnace_running") == gauge(server, "pinnace_queued") == 0, server, 10)
    new = server.lines()[lines_before:]
    assert [line for line in new if not LOG_LINE.match(line)] == []


async def test_a_client_that_goes_away_frees_its_place(server):
    body = {
        "model": "smollm2-135m",
        "max_tokens": 2000,
        "stream": True,
        "messages": FRANCE,
        "temperature": 1.5,
    }
    body["messages"] = [
        {"role": "user", "content": "Write a very long story about the sea, with many chapters."}
    ]
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
                await response.content.readline()
    wait_for(lambda: gauge(server, "pinnace_running") == 0, server, 5)


def gauge(server: Running, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics").text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


def test_nothing_a_client_wrote_is_in_the_ledger_or_the_log(server):
    database = sqlite3.connect(server.folder / ".pinnace" / "ledger.sqlite")
    texts = database.execute("SELECT prompt, answer FROM requests").fetchall()
    database.close()
    assert len(texts) > 1000
    assert set(texts) == {(None, None)}
    log = "\n".join(server.lines())
    assert "stand-in-key" not in log
    assert "capital of France" not in log


def test_sigterm_stops_it_cleanly(server):
    """Last: it ends the server."""
    assert status_of(f"{server.url}/health/ready") == 200
    assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines())
