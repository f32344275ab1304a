"""The HTTP protocol with bounds that uvicorn does not have: on headers, and on how long they may take.

uvicorn's httptools protocol takes any number of headers of any size, and waits for them for ever. What is
refused here is refused in OpenAI's envelope too, and then the connection is closed. Knows nothing of paths.
"""

import json
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pinnace.config import Server
from pinnace.server.gathered import Gathered


class HeaderFloodError(Exception):
    """More headers, or longer ones, than a request may have."""


def _to_nobody(code: str) -> None:
    """Nobody hears of refusals."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol; `bounded_http` sets the bounds.

    A head that comes in several reads is counted as it comes; the first read of it is bounded by the size of
    a read (256 KiB), and then by its headers.
    """

    most_headers = 128
    most_bytes = 32_768
    head_s = 30.0
    told: Callable[[str], None] = staticmethod(_to_nobody)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = False
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._is_flooded = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.head_s, self._close_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if not self._is_in_head:
            return
        if was_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.most_bytes and not self.transport.is_closing():
                self._refuse_flood()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._close_late)

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()
        cycle: Any = self.cycle
        cycle.transport = Gathered(self.transport, self.loop)

    def send_400_response(self, msg: str) -> None:
        if self._is_flooded:
            self._refuse_flood()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP.", "invalid_http")

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.most_bytes or len(self.headers) >= self.most_headers:
            self._is_flooded = True
            raise HeaderFloodError  # the parser stops, and uvicorn asks for a 400

    def _refuse_flood(self) -> None:
        message = f"The headers are more than {self.most_headers}, or larger than {self.most_bytes} bytes."
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, "headers_too_large")

    def _close_late(self) -> None:
        """The head did not come in time: say so, where any of it came, and close."""
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._is_in_head:
            message = f"The headers were not whole within {self.head_s:g} s."
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, message, "headers_too_slow")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str, code: str) -> None:
        """Answer in the envelope and close, unless another answer is under way on this connection.

        A request that is still being read, or not answered yet, is answered by this.
        """
        self.told(code)
        cycle: Any = self.cycle  # None before the first request, whatever its annotation says
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            self.transport.write(_response(status, message, code))
            if cycle is not None:
                cycle.disconnected = True  # so that it writes no second answer
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def bounded_http(config: Server, told: Callable[[str], None]) -> type[BoundedHttp]:
    """The protocol with the bounds of `router.yaml`; `told` hears the code of every refusal."""
    configured = type("ConfiguredHttp", (BoundedHttp,), {"told": staticmethod(told)})
    _bound_heads(configured, config)
    return configured


def bound_anew(http: type[BoundedHttp], listener: socket.socket, config: Server) -> None:
    """Go on under the bounds of another `router.yaml`; the kernel's hold for connections to come."""
    _bound_heads(http, config)
    bound_writes(listener, config.write_timeout_s)


def _bound_heads(http: type[BoundedHttp], config: Server) -> None:
    http.most_headers = config.limits.headers
    http.most_bytes = config.limits.header_bytes
    http.head_s = config.read_timeout_s


def bound_writes(listener: socket.socket, seconds: float) -> None:
    """Have the kernel cut connections of `listener` whose client takes nothing for so long.

    This reaches what is left in buffers after an answer is done. Linux only; elsewhere it does nothing.
    """
    option: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _response(status: HTTPStatus, message: str, code: str) -> bytes:
    fields = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = json.dumps({"error": fields}).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode("ascii") + body
