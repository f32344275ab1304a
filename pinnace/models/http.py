"""The one place that imports httpx and aiohttp: what asks a remote server, over connections of its own.

Requests and answers are httpx's, the connections aiohttp's (httpx-aiohttp): httpx's own pool took four times
the CPU time a request (docs/log.md). httpx's client, with its cookies, hooks and redirects, is left out:
requests go to one server, and nothing may take the key elsewhere.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

Response = httpx.Response
HttpError = httpx.HTTPError
HttpConnectError = httpx.ConnectError
HttpConnectTimeoutError = httpx.ConnectTimeout

IDLE_S = 15.0
"""How long an idle connection is kept; servers close theirs after some 5 to 75 s."""


class Client:
    """Asks one server, and bounds nothing but connecting: who waits for an answer bounds that.

    It asks for uncompressed answers: what is read is then never larger than what was sent.

    :param headers: of every request.
    :param connections: at most so many at once; who finds none free waits in line.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, connect_s: float, connections: int
    ) -> None:
        self._base = base_url.rstrip("/") + "/"
        self._headers = {"accept-encoding": "identity", **headers}
        self._timeout = {"timeout": {"connect": connect_s}}
        self._connections = connections
        self._tls = _tls_of(base_url)
        proxy = _proxy_of(base_url)
        self._transport = AiohttpTransport(
            verify=self._tls, proxy=httpx.Proxy(proxy) if proxy else None, client=self._session
        )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send `body`; the answer's own is unread. Close it whatever happens.

        :raises HttpConnectError: when there is no connection to be had.
        :raises HttpConnectTimeoutError: when that took too long.
        :raises HttpError: when the connection broke, or what came is not HTTP.
        """
        return await self._ask("POST", path, body, headers)

    async def get(self, path: str, headers: Mapping[str, str]) -> Response:
        """Ask for what is at `path`; otherwise as `post`."""
        return await self._ask("GET", path, None, headers)

    async def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        request = httpx.Request(
            method,
            self._base + path,
            headers={**self._headers, **headers},
            content=body,
            extensions=self._timeout,
        )
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError) as error:
            raise _renamed(error) from error
        return response

    async def aclose(self) -> None:
        """Close what is idle, and what runs."""
        await self._transport.aclose()

    def _session(self) -> aiohttp.ClientSession:
        """Made at the first request, on the loop that it runs on."""
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=IDLE_S, ssl=self._tls)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def parts_of(response: Response) -> AsyncGenerator[bytes, None]:
    """Yield the body of an answer as it comes.

    :raises HttpError: when the connection broke, or what came is not HTTP.
    """
    try:
        async for part in response.aiter_raw():
            yield part
    except (httpx.TransportError, aiohttp.ClientError) as error:
        raise _renamed(error) from error


def _renamed(error: Exception) -> httpx.TransportError:
    """httpx's name of what broke, by aiohttp's: httpx-aiohttp calls every lost connection a timeout."""
    cause = error.__cause__ if isinstance(error, httpx.TransportError) else error
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout(str(cause))
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError):
        return httpx.ConnectError(str(cause))
    return httpx.RemoteProtocolError(str(cause))


def _tls_of(base_url: str) -> ssl.SSLContext:
    """The TLS settings; certificates are read only where they are used."""
    is_tls = base_url.startswith("https:")
    return httpx.create_ssl_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _proxy_of(base_url: str) -> str | None:
    """The proxy that the environment names for `base_url`, if any."""
    place = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(place.scheme) or proxies.get("all")
    if not proxy or (place.hostname and proxy_bypass(place.hostname)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
