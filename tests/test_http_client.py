"""The client of a remote server: what breaks has its right name, connections are bounded and used again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pinnace.models import http as module
from pinnace.models.http import Client, HttpConnectError, HttpConnectTimeoutError, HttpError, parts_of

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n%s\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Place:
    """A server that does with each connection what `answer` does, and counts them."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = self.made = self.open = 0
        self.heads: list[bytes] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open += 1
        try:
            while head := await self._head(reader):
                self.heads.append(head)
                await self._answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return b""
        return head.lower()


@asynccontextmanager
async def place_of(answer: Answer) -> AsyncGenerator[Place, None]:
    place = Place(answer)
    server = await asyncio.start_server(place.take, "127.0.0.1", 0)
    place.port = server.sockets[0].getsockname()[1]
    async with server:
        yield place


@asynccontextmanager
async def client_of(port: int, connections: int = 4, connect_s: float = 2) -> AsyncGenerator[Client, None]:
    client = Client(f"http://127.0.0.1:{port}/v1/", {"a": "b"}, connect_s=connect_s, connections=connections)
    yield client
    await client.aclose()


async def read(client: Client) -> bytes:
    response = await client.post("chat", b"{}", {"c": "d"})
    try:
        return b"".join([part async for part in parts_of(response)])
    finally:
        await response.aclose()


async def whole(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % b"" + b"partpartpart")


async def test_one_connection_serves_one_after_the_other() -> None:
    async with place_of(whole) as place, client_of(place.port) as client:
        assert [await read(client) for _ in range(5)] == [b"partpartpart"] * 5
        assert place.made == 1


async def test_never_more_connections_than_there_may_be() -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert place.open <= 3
        await asyncio.sleep(0.01)
        writer.write(HEAD % b"" + b"partpartpart")

    async with place_of(slow) as place, client_of(place.port, connections=3) as client:
        assert await asyncio.gather(*(read(client) for _ in range(20))) == [b"partpartpart"] * 20
        assert place.made == 3


async def test_who_leaves_gives_its_connection_back_and_closes_it() -> None:
    async def stuck(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % b"" + b"part")
        await asyncio.sleep(0.5)

    async with place_of(stuck) as place, client_of(place.port, connections=1) as client:
        for _ in range(4):
            response = await client.post("chat", b"{}", {})
            await anext(parts_of(response))
            await response.aclose()
        assert place.made == 4
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(client), 0.02)


async def test_what_is_sent_has_the_headers_of_both_and_asks_for_plain_bytes() -> None:
    async with place_of(whole) as place, client_of(place.port) as client:
        await read(client)
        (head,) = place.heads
    assert head.startswith(b"post /v1/chat http/1.1\r\n")
    for line in (b"a: b", b"c: d", b"accept-encoding: identity"):
        assert b"\r\n" + line + b"\r\n" in head


async def test_what_is_got_is_asked_for_with_the_headers_of_both_and_no_body() -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(HEAD % b"" + b"partpartpart")
        writer.close()

    heads: list[bytes] = []
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server, client_of(server.sockets[0].getsockname()[1]) as client:
        response = await client.get("models", {"c": "d"})
        assert b"".join([part async for part in parts_of(response)]) == b"partpartpart"
        await response.aclose()
    (head,) = heads
    assert head.startswith(b"get /v1/models http/1.1\r\n")
    assert all(b"\r\n" + line + b"\r\n" in head for line in (b"a: b", b"c: d"))
    assert b"content-length" not in head


async def test_cookies_are_not_kept_and_redirects_are_not_followed() -> None:
    async def sends(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 Go\r\nset-cookie: x=1\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n")

    async with place_of(sends) as place, client_of(place.port) as client:
        for _ in range(2):
            response = await client.post("chat", b"{}", {})
            assert response.status_code == 307
            await response.aclose()
        assert not any(b"cookie" in head for head in place.heads)
        assert all(head.startswith(b"post /v1/chat ") for head in place.heads)


async def test_a_closed_port_is_a_lack_of_connection() -> None:
    async with place_of(whole) as place:
        pass
    async with client_of(place.port) as client:
        with pytest.raises(HttpConnectError):
            await read(client)


async def test_connecting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    async with place_of(whole) as place, client_of(place.port, connect_s=0.05) as client:
        monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", never)
        with pytest.raises(HttpConnectTimeoutError):
            await read(client)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no http at all\r\n\r\n",
        HEAD % b"" + b"part",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_breaks_is_neither_a_timeout_nor_a_lack_of_connection(said: bytes) -> None:
    async def breaks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    async with place_of(breaks) as place, client_of(place.port) as client:
        with pytest.raises(HttpError) as caught:
            await read(client)
    assert not isinstance(caught.value, HttpConnectError | HttpConnectTimeoutError)


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
