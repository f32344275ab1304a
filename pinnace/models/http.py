"""The one place that imports httpx: clients for remote backends."""

import httpx

from pinnace.config import Timeouts

Client = httpx.AsyncClient
Response = httpx.Response
HttpError = httpx.HTTPError
HttpConnectError = httpx.ConnectError
HttpConnectTimeoutError = httpx.ConnectTimeout
HttpTimeoutError = httpx.TimeoutException


def make_client(base_url: str, headers: dict[str, str], timeouts: Timeouts) -> Client:
    """A pooled client; reading may take as long as the slower of first token and stall.

    It asks for uncompressed answers: what is read is then never larger than what was sent.
    """
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/") + "/",
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx.Timeout(
            connect=timeouts.connect_s,
            read=max(timeouts.first_token_s, timeouts.stall_s),
            write=timeouts.connect_s,
            pool=timeouts.first_token_s,
        ),
        limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
        follow_redirects=False,
    )
