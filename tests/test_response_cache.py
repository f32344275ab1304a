"""The response cache and single-flight: the same answer again at no cost, for the same caller alone."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from key_fixtures import OTHER, SECRET, ask, key
from server_fixtures import ASK, ASK_HARD, eventually, house, member

from pinnace.config import ResponseCache as CacheConfig
from pinnace.models.completion import Delta, Message, Request, TokenLogprob, Usage
from pinnace.router.answer import Answered, Committed
from pinnace.server.response_cache import Events, ResponseCache, is_deterministic, key_of

KEYS = [key(cache=True), key("bob", OTHER, cache=True)]
SLOW = member("only", {"answer": "one two three", "first_token_s": 0.1})
REQUEST = Request((Message("user", "hi"),), temperature=0, caller="alice")


def told(response: httpx.Response) -> str | None:
    assert response.status_code == 200
    return response.headers.get("x-pinnace-cache")


def content(response: httpx.Response) -> str:
    return response.json()["choices"][0]["message"]["content"]


def words(stream: str) -> list[str]:
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    return [c["delta"]["content"] for chunk in chunks for c in chunk["choices"] if c["delta"].get("content")]


async def test_it_is_off_unless_the_key_has_it() -> None:
    async with house(keys=[key()]) as place:
        found = [told(await ask(place, temperature=0)) for _ in range(2)]
        assert len(place.backend("small").requests) == 2
    assert found == [None, None]


async def test_the_same_again_is_a_hit_that_costs_nothing() -> None:
    async with house(keys=KEYS) as place:
        first, second = [await ask(place, messages=ASK_HARD, temperature=0) for _ in range(2)]
        assert len(place.backend("large").requests) == 1
        miss, hit = place.rows
    assert [told(first), told(second)] == ["miss", "hit"]
    assert content(first) == content(second) == "It is 42."
    assert first.json()["id"] != second.json()["id"]
    assert first.json()["usage"] == second.json()["usage"]
    assert second.json()["pinnace"] == first.json()["pinnace"] | {"cost_usd": 0.0}
    assert float(second.headers["x-pinnace-cost-usd"]) == 0
    assert (miss.outcome, hit.outcome) == ("accepted", "cached")
    assert (hit.cost_usd, hit.key, hit.model, hit.route, hit.attempts) == (
        0,
        "alice",
        "large",
        "small>large",
        "[]",
    )
    assert hit.request_id == second.json()["id"]


async def test_a_hit_is_charged_to_nobody() -> None:
    async with house(keys=KEYS) as place:
        await ask(place, temperature=0)
        spent = place.dispatcher.spending.total("alice")
        await ask(place, temperature=0)
        assert place.dispatcher.spending.total("alice") == spent > 0


async def test_a_stream_is_told_again_as_a_stream() -> None:
    async with house(keys=KEYS) as place:
        first, second = [await ask(place, temperature=0, stream=True) for _ in range(2)]
        whole = await ask(place, temperature=0)
    assert [told(first), told(second), told(whole)] == ["miss", "hit", "miss"]
    assert words(second.text) == words(first.text)
    assert len(words(second.text)) > 3
    assert second.text.endswith("data: [DONE]\n\n")


async def test_no_key_is_told_what_another_asked() -> None:
    async with house(keys=KEYS) as place:
        found = [told(await ask(place, secret, temperature=0)) for secret in (SECRET, OTHER, OTHER)]
    assert found == ["miss", "miss", "hit"]


async def test_it_can_be_on_for_everyone() -> None:
    async with house(cache={"everyone": True}) as place:
        found = [told(await ask(place, None, seed=1)) for _ in range(2)]
    assert found == ["miss", "hit"]


@pytest.mark.parametrize(
    "fields", [{}, {"temperature": 0.1}, {"temperature": 0, "n": 2}], ids=["default", "warm", "two choices"]
)
async def test_what_is_not_deterministic_is_asked_anew(fields: dict[str, object]) -> None:
    async with house(keys=KEYS) as place:
        found = [told(await ask(place, **fields)) for _ in range(2)]
        assert len(place.backend("small").requests) == 2
    assert found == [None, None]


@pytest.mark.parametrize(
    "other",
    [{"max_tokens": 5}, {"seed": 4}, {"stop": ["x"]}, {"messages": [*ASK, *ASK]}, {"model": "small"}],
    ids=lambda other: next(iter(other)),
)
async def test_whatever_may_change_the_answer_is_another_request(other: dict[str, object]) -> None:
    async with house(keys=KEYS) as place:
        found = [told(await ask(place, **{"temperature": 0, **fields})) for fields in ({}, other)]
    assert found == ["miss", "miss"]


async def test_what_cannot_change_the_answer_is_the_same_request() -> None:
    async with house(keys=KEYS) as place:
        first = await ask(place, temperature=0)
        again = await ask(place, temperature=0, user="me", service_tier="flex", metadata={"a": "b"})
    assert [told(first), told(again)] == ["miss", "hit"]


async def test_identical_requests_in_flight_wait_for_the_first() -> None:
    async with house(SLOW, keys=KEYS, max_running=1, max_queue=0) as place:
        answers = await asyncio.gather(*(ask(place, temperature=0) for _ in range(5)))
        assert len(place.backend("only").requests) == 1
        assert sorted(row.outcome for row in place.rows) == ["accepted", *["cached"] * 4]
    assert sorted(str(told(answer)) for answer in answers) == ["hit"] * 4 + ["miss"]
    assert {content(answer) for answer in answers} == {"one two three"}


async def test_where_the_first_one_leaves_the_others_go_on_alone() -> None:
    async with house(SLOW, keys=KEYS) as place:
        first = asyncio.create_task(ask(place, temperature=0))
        await eventually(lambda: place.backend("only").running == 1)
        others = [asyncio.create_task(ask(place, temperature=0)) for _ in range(2)]
        await asyncio.sleep(0.02)
        first.cancel()
        answers = await asyncio.gather(*others)
        assert len(place.backend("only").requests) == 3
    assert {content(answer) for answer in answers} == {"one two three"}


async def test_a_follower_that_leaves_disturbs_nobody() -> None:
    async with house(SLOW, keys=KEYS) as place:
        tasks = [asyncio.create_task(ask(place, temperature=0)) for _ in range(3)]
        await eventually(lambda: place.backend("only").running == 1)
        tasks[1].cancel()
        answers = [await tasks[0], await tasks[2]]
        await asyncio.gather(tasks[1], return_exceptions=True)
        assert len(place.backend("only").requests) == 1
    assert {content(answer) for answer in answers} == {"one two three"}


async def test_where_the_first_one_fails_the_others_go_on_alone() -> None:
    broken = member("only", {"answer": "x", "first_token_s": 0.05, "fault": "cut"})
    async with house(broken, keys=KEYS) as place:
        answers = await asyncio.gather(*(ask(place, temperature=0) for _ in range(3)))
        again = await ask(place, temperature=0)
        assert len(place.backend("only").requests) == 4
    assert {answer.status_code for answer in (*answers, again)} == {503}


async def test_an_answer_for_want_of_a_better_one_is_not_kept() -> None:
    small = member("small", {"answer": "Perhaps.", "probability": 0.2})
    large = member("large", {"answer": "x", "fault": "refuse"})
    async with house(small, large, keys=KEYS) as place:
        found = [told(await ask(place, temperature=0)) for _ in range(2)]
    assert found == ["miss", "miss"]


async def test_asked_for_log_probabilities_come_again() -> None:
    async with house(keys=KEYS) as place:
        answers = [await ask(place, temperature=0, logprobs=True, top_logprobs=2) for _ in range(2)]
    assert answers[0].json()["choices"] == answers[1].json()["choices"]
    assert answers[1].json()["choices"][0]["logprobs"]["content"]


# The cache by itself.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def events_of(text: str) -> Events:
    yield Committed("small", ("small",), 0.9, False, "why", 1.0)
    yield Delta(text, logprobs=(TokenLogprob("x", -0.1),), usage=Usage(1, 1))
    yield Answered("small", (), 0.9, False, "why", Usage(1, 1), 1.0)


@asynccontextmanager
async def live(text: str) -> AsyncGenerator[Events, None]:
    yield events_of(text)


async def keep(cache: ResponseCache, name: bytes, text: str) -> None:
    """Have `cache` keep one answer."""
    async with cache.keeping(name, REQUEST, live(text)) as events:
        assert [type(event).__name__ async for event in events] == ["Committed", "Delta", "Answered"]


async def test_what_was_used_longest_ago_goes_first() -> None:
    cache = ResponseCache(CacheConfig(entries=2))
    await keep(cache, b"a", "1")
    await keep(cache, b"b", "2")
    assert await cache.find(b"a") is not None
    await keep(cache, b"c", "3")
    assert [await cache.find(name) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
    assert len(cache) == 2


async def test_bytes_are_bounded_and_a_giant_is_not_kept() -> None:
    cache = ResponseCache(CacheConfig(bytes=20_000))
    for number in range(50):
        await keep(cache, b"%d" % number, "x" * 100)
        assert 0 < cache.size <= 20_000
    assert 10 < len(cache) < 50
    await keep(cache, b"giant", "x" * 3_000)
    assert await cache.find(b"giant") is None


async def test_an_answer_is_forgotten_when_its_time_is_over() -> None:
    clock = Clock()
    cache = ResponseCache(CacheConfig(ttl_s=10), clock)
    await keep(cache, b"a", "1")
    clock.now = 9.9
    kept = await cache.find(b"a")
    assert kept is not None
    assert (kept.answered.cost_usd, kept.committed.spent_usd, kept.deltas[0].logprobs) == (0, 0, ())
    clock.now = 10
    assert await cache.find(b"a") is None
    assert (len(cache), cache.size) == (0, 0)


def test_the_key_is_of_who_asks_what_of_which_model_and_state() -> None:
    base = key_of(REQUEST, "auto", "state", is_stream=False)
    assert base == key_of(replace(REQUEST, id="other", priority=1), "auto", "state", is_stream=False)
    others = {
        key_of(replace(REQUEST, caller="bob"), "auto", "state", is_stream=False),
        key_of(REQUEST, "small", "state", is_stream=False),
        key_of(REQUEST, "auto", "new state", is_stream=False),
        key_of(REQUEST, "auto", "state", is_stream=True),
        key_of(replace(REQUEST, allowed=frozenset({"small"})), "auto", "state", is_stream=False),
        key_of(
            replace(REQUEST, messages=(Message("user", "hi", {"name": "x"}),)),
            "auto",
            "state",
            is_stream=False,
        ),
    }
    assert len(others | {base}) == 7


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [({"temperature": 0}, True), ({"seed": 0}, True), ({}, False), ({"temperature": 0, "n": 2}, False)],
)
def test_deterministic_is_temperature_0_or_a_seed_and_one_choice(
    fields: dict[str, int], is_one: bool
) -> None:
    assert is_deterministic(Request((), **fields)) is is_one
