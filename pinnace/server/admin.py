"""The operator's own door: `POST /admin/reload`, on a loopback address apart from the endpoint's.

Whoever can connect may use it, so it takes no request that a web page could have a browser send.
"""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from pinnace.config.admin import is_loopback
from pinnace.server.envelope import Envelope
from pinnace.server.reload import ReloadError, Reloading

PATH = "/admin/reload"


def create_admin(reloading: Reloading) -> ASGIApp:
    """The operator's application."""

    async def reload(request: Request) -> Response:
        if (refusal := _why_not(request)) is not None:
            return _refused(Envelope(403, refusal, "invalid_request_error", "not_from_here"))
        try:
            done = await reloading.reload()
        except ReloadError as error:
            return _refused(Envelope(409, str(error), "invalid_request_error", "reload_refused"))
        return JSONResponse({"status": "reloaded", **asdict(done)})

    message = f"There is no such path here; see POST {PATH}."
    elsewhere = _refused(Envelope(404, message, "invalid_request_error", "not_found"))
    return Router([Route(PATH, reload, methods=["POST"])], redirect_slashes=False, default=elsewhere)


def _why_not(request: Request) -> str | None:
    """Why the request may come from a browser: it says so, or reached us under another host's name."""
    if "origin" in request.headers:
        return "Web pages may not ask for this: expected no header 'Origin'."
    host = request.url.hostname or ""
    return None if is_loopback(host) else f"Expected a loopback address in the header 'Host', got {host!r}."


def _refused(envelope: Envelope) -> Response:
    return Response(envelope.body(), envelope.status, dict(_texts(envelope)), "application/json")


def _texts(envelope: Envelope) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in envelope.all_headers()]
