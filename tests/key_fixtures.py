"""Keys for tests, and requests that carry them."""

import hashlib
from typing import Any

import httpx
from server_fixtures import ASK, House

CHAT = "/v1/chat/completions"
SECRET = "pk-the-key-of-alice-0123456789abcdef"
OTHER = "pk-the-key-of-bob-fedcba9876543210"


def key(name: str = "alice", secret: str = SECRET, **bounds: object) -> dict[str, Any]:
    """A section of `server.keys`."""
    return {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **bounds}


def bearer(secret: str = SECRET) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def ask(
    place: House, secret: str | None = SECRET, *, headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    """Ask with a key; `fields` of the body."""
    sent = {**({} if secret is None else bearer(secret)), **(headers or {})}
    async with place.http() as http:
        return await http.post(CHAT, json={"model": "auto", "messages": ASK, **fields}, headers=sent)


def error_of(response: httpx.Response) -> tuple[int, object, object, object]:
    """Status, type, param and code."""
    error = response.json()["error"]
    return response.status_code, error["type"], error["param"], error["code"]
