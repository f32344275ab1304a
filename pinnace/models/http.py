"""The one place that imports httpx: clients for remote backends, with a pool of connections of their own.

httpx's pool (httpcore 1.0) walks through all of its connections at each request's begin and end, and for each
idle one asks the kernel and walks through all of them again: at 200 connections three quarters of the time go
there. `Pool` keeps one transport per connection and takes the one used last, in constant time. What was not
read to its end is not used again.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

Client = httpx.AsyncClient
Response = httpx.Response
HttpError = httpx.HTTPError
HttpConnectError = httpx.ConnectError
HttpConnectTimeoutError = httpx.ConnectTimeout
HttpTimeoutError = httpx.TimeoutException

IDLE_S = 15.0
"""How long an idle connection is kept; servers close theirs after some 5 to 75 s."""
_CLOSED_AT_ONCE = 4


def make_client(base_url: str, headers: dict[str, str], *, connect_s: float, connections: int) -> Client:
    """A client of one server that bounds nothing but connecting: who waits for an answer bounds that.

    It asks for uncompressed answers: what is read is then never larger than what was sent. Redirects are
    not followed, since they would take the key elsewhere.
    """
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/") + "/",
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx.Timeout(None, connect=connect_s),
        transport=Pool(_maker(base_url), connections),
        follow_redirects=False,
    )


@dataclass(slots=True)
class _Lane:
    """One connection, and since when it is idle."""

    transport: httpx.AsyncBaseTransport
    idle_since: float = 0.0


class Pool(httpx.AsyncBaseTransport):
    """At most `most` lanes that `make` made; who finds none free waits in line."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], most: int) -> None:
        self._make = make
        self._most = most
        self._open = 0
        self._idle: deque[_Lane] = deque()
        self._waiting: deque[asyncio.Future[_Lane | None]] = deque()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` on a lane of its own, which comes back when the answer was read or closed."""
        lane = await self._take()
        try:
            response = await lane.transport.handle_async_request(request)
        except BaseException:
            await self._give_back(lane, False)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Lent(response.stream, partial(self._give_back, lane))
        return response

    async def aclose(self) -> None:
        """Close what is idle; what runs is closed by whoever reads it."""
        while self._idle:
            await self._idle.popleft().transport.aclose()

    async def _take(self) -> _Lane:
        if self._idle:
            return self._idle.pop()
        if self._open < self._most:
            return self._new()
        place: asyncio.Future[_Lane | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            lane = await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on(place.result())
            raise
        return lane or self._new(is_counted=True)

    def _new(self, *, is_counted: bool = False) -> _Lane:
        self._open += not is_counted
        return _Lane(self._make())

    async def _give_back(self, lane: _Lane, is_whole: bool) -> None:
        if is_whole:
            self._pass_on(lane)
            await self._close_stale()
        else:
            self._pass_on(None)
            await lane.transport.aclose()

    def _pass_on(self, lane: _Lane | None) -> None:
        """To the first who waits, who makes a new one of None; else it lies idle."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(lane)
                return
        if lane is None:
            self._open -= 1
        else:
            lane.idle_since = time.monotonic()
            self._idle.append(lane)

    async def _close_stale(self) -> None:
        """Close some of those that have been idle for too long: the ones at the left."""
        oldest = time.monotonic() - IDLE_S
        for _ in range(_CLOSED_AT_ONCE):
            if not self._idle or self._idle[0].idle_since > oldest:
                return
            self._open -= 1
            await self._idle.popleft().transport.aclose()


class _Lent(httpx.AsyncByteStream):
    """The body of an answer; gives its lane back once, when it is closed."""

    def __init__(self, body: httpx.AsyncByteStream, give_back: Callable[[bool], Awaitable[None]]) -> None:
        self._body = body
        self._give_back = give_back
        self._is_whole = False
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part
        self._is_whole = True

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._body.aclose()
        except BaseException:
            self._is_whole = False
            raise
        finally:
            await self._give_back(self._is_whole)


def _maker(base_url: str) -> Callable[[], httpx.AsyncBaseTransport]:
    """Makes transports of one connection to the server at `base_url`, all with the same TLS settings."""
    is_tls = base_url.startswith("https:")
    context = httpx.create_ssl_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_S)
    proxy = _proxy_of(base_url)
    return lambda: httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy, trust_env=False)


def _proxy_of(base_url: str) -> str | None:
    """The proxy that the environment names for `base_url`, if any."""
    place = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(place.scheme) or proxies.get("all")
    if not proxy or (place.hostname and proxy_bypass(place.hostname)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
