"""The load client against a real server on loopback, in this process and in its own."""

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from server_fixtures import house, member, on_a_socket

from pinnace.bench.client import Target, run, tokens_of
from pinnace.bench.load import Load
from pinnace.bench.worker import Worker
from pinnace.errors import BackendUnavailableError

LONG = member("small", {"answer": "word " * 80})
LOAD = Load(concurrency=4, prompts=tuple(f"Tell me about number {i}." for i in range(12)), max_tokens=16)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_it_counts_the_tokens_that_the_endpoint_counted(stream: bool) -> None:
    async with house(LONG) as served, on_a_socket(served.app) as port:
        measured = await run(Target("127.0.0.1", port, "auto", stream), LOAD)
        assert (measured.requests, measured.tokens, measured.short) == (12, 12 * 16, 0)
        assert measured.tokens == sum(row.completion_tokens for row in served.rows)
        assert {row.asked_model for row in served.rows} == {"auto"}
        assert (measured.first_token_p50_s is not None) == stream


async def test_it_asks_greedily_for_a_long_answer() -> None:
    async with house(LONG) as served, on_a_socket(served.app) as port:
        await run(Target("127.0.0.1", port, "auto", stream=False), LOAD)
        asked = served.backend("small").requests
    assert {(request.temperature, request.max_tokens) for request in asked} == {(0.0, 16)}
    assert {request.text() for request in asked} == set(LOAD.prompts)


async def test_an_error_status_ends_the_load() -> None:
    async with house(LONG) as served, on_a_socket(served.app) as port:
        with pytest.raises(BackendUnavailableError, match="answered 404"):
            await run(Target("127.0.0.1", port, "nobody", stream=False), LOAD)


@pytest.mark.parametrize(
    ("body", "stream"),
    [(b'{"choices": []}', False), (b'data: {"usage":{"completion_tokens":3}}\n\n', True)],
    ids=["no usage", "no end"],
)
def test_an_answer_that_broke_off_is_not_counted(body: bytes, stream: bool) -> None:
    with pytest.raises(BackendUnavailableError, match="broke off"):
        tokens_of(body, stream=stream)


async def test_in_its_own_process_it_answers_errors_and_leaves(tmp_path: Path) -> None:
    client = await Worker.start("pinnace.bench.client", os.environ, tmp_path)
    try:
        async with house(LONG) as served, on_a_socket(served.app) as port:
            target = asdict(Target("127.0.0.1", port, "auto", stream=True))
            found = await client.ask({"target": target, "load": asdict(LOAD)})
            assert (found["requests"], found["tokens"]) == (12, 12 * 16)
            with pytest.raises(BackendUnavailableError, match="answered 404"):
                await client.ask({"target": {**target, "model": "nobody"}, "load": asdict(LOAD)})
    finally:
        await client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(client.pid, 0)


async def test_a_child_that_dies_says_its_last_words(tmp_path: Path) -> None:
    client = await Worker.start("pinnace.bench.no_such_module", os.environ, tmp_path)
    try:
        with pytest.raises(BackendUnavailableError, match="No module named"):
            await client.ask({})
    finally:
        await client.close()


async def test_a_busy_child_is_interrupted(tmp_path: Path) -> None:
    import asyncio

    stalled = member("small", {"answer": "one two", "fault": "stall", "fault_after": 1})
    client = await Worker.start("pinnace.bench.client", os.environ, tmp_path)
    async with house(stalled) as served, on_a_socket(served.app) as port:
        target = asdict(Target("127.0.0.1", port, "auto", stream=False))
        asking = asyncio.create_task(client.ask({"target": target, "load": asdict(LOAD)}))
        while served.backend("small").running < 4:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        asking.cancel()
        async with asyncio.timeout(25):
            await client.close()
        while served.backend("small").running:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
