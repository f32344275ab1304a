"""A backend behind a gate: bounded, in order, and every place comes back."""

import asyncio
from contextlib import aclosing

import pytest
from server_fixtures import ASK, eventually, house, member

from pinnace.config import parse_config
from pinnace.errors import BackendFullError
from pinnace.models.completion import Message, Request
from pinnace.models.fleet import make_backend
from pinnace.models.gated import GatedBackend, gated, tokens_of
from pinnace.models.scripted import ScriptedBackend

SLOW = {"answer": "one two three", "token_s": 0.02}
REQUEST = Request((Message("user", "hello there"),), max_tokens=10)


def gate(**bounds: int) -> GatedBackend:
    slow = member("slow", SLOW).model_copy(update=bounds)
    found = gated(slow, ScriptedBackend(slow))
    assert isinstance(found, GatedBackend)
    return found


async def read(backend: GatedBackend, request: Request = REQUEST) -> str:
    return "".join([delta.text async for delta in backend.stream(request)])


def test_a_member_without_bounds_has_no_gate() -> None:
    config = parse_config({"fleet": [{"name": "a", "backend": "scripted", "script": [{"answer": "x"}]}]}, {})
    assert isinstance(make_backend(config.fleet[0]), ScriptedBackend)


@pytest.mark.parametrize("bounds", [{"max_running": 3}, {"max_tokens_in_flight": 100}])
def test_a_member_with_bounds_has_one(bounds: dict[str, int]) -> None:
    section = {"name": "a", "backend": "scripted", "script": [{"answer": "x"}], **bounds}
    assert isinstance(make_backend(parse_config({"fleet": [section]}, {}).fleet[0]), GatedBackend)


def test_what_a_request_may_take_is_its_prompt_and_all_choices() -> None:
    request = Request((Message("user", "x" * 40),), max_tokens=10, n=3)
    assert tokens_of(request) == 10 + 30


async def test_no_more_run_than_may_and_all_are_served() -> None:
    backend = gate(max_running=2, max_waiting=8)
    tasks = [asyncio.create_task(read(backend)) for _ in range(6)]
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, backend.running)
        await asyncio.sleep(0.001)
    assert most == 2
    assert {task.result() for task in tasks} == {"one two three"}
    assert (backend.places.running, backend.places.tokens, backend.places.waiting) == (0, 0, 0)


async def test_tokens_bind_too() -> None:
    backend = gate(max_tokens_in_flight=25, max_waiting=8)
    tasks = [asyncio.create_task(read(backend)) for _ in range(4)]
    await eventually(lambda: backend.places.waiting)
    assert backend.running <= 2
    assert await asyncio.gather(*tasks) == ["one two three"] * 4


async def test_beyond_those_who_may_wait_it_is_full() -> None:
    backend = gate(max_running=1, max_waiting=1)
    tasks = [asyncio.create_task(read(backend)) for _ in range(2)]
    await eventually(lambda: backend.places.waiting == 1)
    with pytest.raises(BackendFullError, match="slow: full: 1 requests run and 1 wait"):
        await read(backend)
    await asyncio.gather(*tasks)


async def test_a_stream_that_is_closed_early_gives_its_place_back() -> None:
    backend = gate(max_running=1, max_waiting=0)
    async with aclosing(backend.stream(REQUEST)) as deltas:
        await anext(deltas)
    assert (backend.places.running, backend.running, backend.aborted) == (0, 0, 1)
    assert await read(backend) == "one two three"


async def test_who_leaves_while_waiting_takes_no_place() -> None:
    backend = gate(max_running=1, max_waiting=1)
    first, second = asyncio.create_task(read(backend)), asyncio.create_task(read(backend))
    await eventually(lambda: backend.places.waiting == 1)
    second.cancel()
    assert await first == "one two three"
    await asyncio.gather(second, return_exceptions=True)
    assert (backend.places.running, backend.places.waiting) == (0, 0)


async def test_a_full_model_is_503_where_it_was_named_and_others_serve_on() -> None:
    slow = member("slow", {"answer": "one", "first_token_s": 5}).model_copy(
        update={"max_running": 1, "max_waiting": 0}
    )
    async with house(member("small", {"answer": "quick"}), slow) as place, place.http() as http:
        place.dispatcher.fleet.backends["slow"] = gated(slow, ScriptedBackend(slow))
        path = "/v1/chat/completions"
        task = asyncio.create_task(http.post(path, json={"model": "slow", "messages": ASK}))
        await eventually(lambda: place.dispatcher.fleet.backends["slow"].running)
        full = await http.post(path, json={"model": "slow", "messages": ASK})
        other = await http.post(path, json={"model": "small", "messages": ASK})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert full.json()["error"] == {
        "message": "slow: full: 1 requests run and 0 wait",
        "type": "server_error",
        "param": None,
        "code": "model_full",
    }
    assert other.json()["choices"][0]["message"]["content"] == "quick"


async def test_a_full_large_model_leaves_the_small_answer() -> None:
    large = member("large", {"answer": "x"}).model_copy(update={"max_running": 1, "max_waiting": 0})
    async with house(member("small", {"answer": "Perhaps.", "probability": 0.2}), large) as place:
        backend = gated(large, ScriptedBackend(large))
        place.dispatcher.fleet.backends["large"] = backend
        assert isinstance(backend, GatedBackend)
        taken = await backend.places.enter(1)
        async with place.http() as http:
            answer = await http.post("/v1/chat/completions", json={"model": "auto", "messages": ASK})
        backend.places.leave(taken)
    assert answer.json()["choices"][0]["message"]["content"] == "Perhaps."
    assert answer.headers["x-pinnace-why"] == "not escalated: large: full: 1 requests run and 0 wait"
