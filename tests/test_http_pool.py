"""The pool of connections: never more than there may be, the last used first, nothing lost in line."""

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models import http as module
from pinnace.models.http import Pool, make_client

ASK = httpx.Request("POST", "http://server/v1")


class Body(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"part"


class Wire(httpx.AsyncBaseTransport):
    """One connection that answers anything; refuses to be used twice at once."""

    def __init__(self, made: "list[Wire]") -> None:
        made.append(self)
        self.asked = 0
        self.is_busy = False
        self.is_closed = False
        self.fails = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.is_busy
        assert not self.is_closed
        self.is_busy = True
        self.asked += 1
        try:
            await asyncio.sleep(0)
            if self.fails:
                raise httpx.ReadError("broken")
        finally:
            self.is_busy = False
        return httpx.Response(200, stream=Body())

    async def aclose(self) -> None:
        self.is_closed = True


async def read(pool: Pool) -> bytes:
    response = await pool.handle_async_request(ASK)
    try:
        return b"".join([part async for part in response.aiter_raw()])
    finally:
        await response.aclose()


def pool_of(most: int) -> tuple[Pool, list[Wire]]:
    made: list[Wire] = []
    return Pool(lambda: Wire(made), most), made


async def test_one_connection_serves_one_after_the_other() -> None:
    pool, made = pool_of(8)
    for _ in range(5):
        assert await read(pool) == b"partpartpart"
    assert [wire.asked for wire in made] == [5]
    await pool.aclose()
    assert made[0].is_closed


async def test_never_more_than_there_may_be() -> None:
    pool, made = pool_of(3)
    assert await asyncio.gather(*(read(pool) for _ in range(20))) == [b"partpartpart"] * 20
    assert sum(wire.asked for wire in made) == 20
    assert len(made) == 3


async def test_a_connection_that_failed_is_replaced_for_who_waits() -> None:
    pool, made = pool_of(1)
    first = asyncio.create_task(read(pool))
    second = asyncio.create_task(read(pool))
    await asyncio.sleep(0)
    made[0].fails = True
    with pytest.raises(httpx.ReadError):
        await first
    assert await second == b"partpartpart"
    assert [wire.is_closed for wire in made] == [True, False]


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, made = pool_of(8)
    await asyncio.gather(*(read(pool) for _ in range(6)))
    monkeypatch.setattr(module, "IDLE_S", 0.02)
    await asyncio.sleep(0.05)
    for _ in range(3):
        await read(pool)
    assert sum(not wire.is_closed for wire in made) == 1
    await asyncio.gather(*(read(pool) for _ in range(20)))
    assert sum(not wire.is_closed for wire in made) <= 8


@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 2**32))
def test_whoever_leaves_whenever_the_places_stay(most: int, asking: int, seed: int) -> None:
    chance = random.Random(seed)

    async def run() -> None:
        pool, made = pool_of(most)
        tasks = [asyncio.create_task(read(pool)) for _ in range(asking)]
        for _ in range(asking):
            await asyncio.sleep(0)
            if chance.random() < 0.5:
                chance.choice(tasks).cancel()
            if made and chance.random() < 0.2:
                chance.choice(made).fails = True
        await asyncio.gather(*tasks, return_exceptions=True)
        for wire in made:
            wire.fails = False
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(read(pool) for _ in range(3 * most)))
        assert answers == [b"partpartpart"] * (3 * most)
        assert sum(not wire.is_closed for wire in made) <= most

    asyncio.run(run())


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://api.example.com/v1", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://api.example.com/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://api.example.com/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://api.example.com/v1", None),
        ({"ALL_PROXY": "http://proxy:1"}, "http://api.example.com/v1", "http://proxy:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, "https://api.example.com/v1", None),
    ],
)
def test_the_proxy_of_the_environment_is_used(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert module._proxy_of(url) == proxy


async def test_a_client_bounds_only_connecting() -> None:
    async with make_client("https://api.example.com/v1/", {"a": "b"}, connect_s=3, connections=2) as client:
        assert client.timeout == httpx.Timeout(None, connect=3)
        assert not client.follow_redirects
        assert (
            client.build_request("POST", "chat/completions").url
            == "https://api.example.com/v1/chat/completions"
        )
