"""Servers that are reloaded, without a socket, for tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from pinnace.config import Config, parse_config
from pinnace.router.dispatch import Dispatcher
from pinnace.server.admin import create_admin
from pinnace.server.app import create_app
from pinnace.server.reload import Reloading
from pinnace.server.shifts import Front

CHAT = "/v1/chat/completions"


def says(answer: str, name: str = "small", **reply: object) -> dict[str, Any]:
    return {"name": name, "backend": "scripted", "script": [{"answer": answer, **reply}]}


class Place:
    """A server that can be reloaded, without a socket; `raw` is what its router.yaml says now."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw: dict[str, Any] | Exception = raw
        config = self.read()
        dispatcher = Dispatcher.from_config(config)
        self.front = Front(create_app(dispatcher, config.server), dispatcher)
        self.reloading = Reloading(self.read, config, self.front)

    def read(self) -> Config:
        if isinstance(self.raw, Exception):
            raise self.raw
        return parse_config(self.raw, {}, source="router.yaml")

    def change(self, *fleet: dict[str, Any], **sections: Any) -> None:
        assert isinstance(self.raw, dict)
        self.raw = self.raw | sections | ({"fleet": list(fleet)} if fleet else {})

    def http(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.front)
        return httpx.AsyncClient(transport=transport, base_url="http://pinnace", headers=headers)

    def admin(self, url: str = "http://127.0.0.1:8001") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(create_admin(self.reloading)), base_url=url)

    async def ask(self, model: str = "auto", **fields: object) -> httpx.Response:
        async with self.http() as http:
            body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
            return await http.post(CHAT, json=body)

    async def says(self, model: str = "auto") -> str:
        response = await self.ask(model)
        assert response.status_code == 200, response.text
        return response.json()["choices"][0]["message"]["content"]

    @property
    def backends(self) -> dict[str, Any]:
        return self.front.on.dispatcher.fleet.backends


@asynccontextmanager
async def place(
    folder: Path, state: Path, *fleet: dict[str, Any], **sections: Any
) -> AsyncGenerator[Place, None]:
    found = Place(
        {
            "fleet": list(fleet) or [says("old")],
            "router": {"embedder": "hashing", "state": str(state)},
            "ledger": {"path": str(folder / "ledger.sqlite")},
            **sections,
        }
    )
    await found.front.on.dispatcher.start()
    yield found
    await found.reloading.stop()
    app = found.front.on.app
    assert (app.admission.running, app.admission.queued, len(app.lifelines)) == (0, 0, 0)
    await found.front.drain()
