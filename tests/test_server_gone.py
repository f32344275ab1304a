"""Clients that go away, at every point, over real sockets: their work is aborted and their place is free."""

import asyncio
import json
from collections.abc import Mapping

import aiohttp
import httpx
import pytest
from server_fixtures import ASK, House, eventually, house, member, on_a_socket

ENDLESS = member("only", {"answer": "word " * 100_000, "token_s": 0.005})
SILENT = member("only", {"answer": "x", "fault": "stall"})


def chat_bytes(*, length: int | None = None, **fields: object) -> bytes:
    body = json.dumps({"model": "auto", "messages": ASK, **fields}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body


async def metrics_code(place: House, model: str, code: str) -> float:
    samples = (s for family in place.app.metrics.registry.collect() for s in family.samples)
    labels: Mapping[str, str] = {"model": model, "code": code}
    return sum(
        s.value for s in samples if s.name == "pinnace_requests_total" and labels.items() <= s.labels.items()
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("only", [ENDLESS, SILENT], ids=["speaking", "before the first token"])
async def test_a_client_that_leaves_while_its_answer_is_made(only: object, stream: bool) -> None:
    async with house(only) as place, on_a_socket(place.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat_bytes(stream=stream, max_tokens=4000))
        await eventually(lambda: place.backend("only").running == 1)
        await asyncio.sleep(0.05)
        writer.close()
        await eventually(lambda: place.app.admission.running == 0)
        assert (place.backend("only").running, place.backend("only").aborted) == (0, 1)
        await eventually(lambda: len(place.app.lifelines) == 0)
        model = "only" if stream and only is ENDLESS else "none"
        assert await metrics_code(place, model, "499") == 1
        assert [row.outcome for row in place.rows] == ["abandoned"]


async def test_a_client_that_leaves_in_the_middle_of_its_stream() -> None:
    async with house(ENDLESS) as place, on_a_socket(place.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat_bytes(stream=True, max_tokens=4000))
        await reader.readuntil(b"word ")
        writer.close()
        await eventually(lambda: place.backend("only").aborted == 1)
        assert place.app.admission.running == 0


async def test_a_client_that_stops_reading_and_then_leaves() -> None:
    fast = member("only", {"answer": "w" * 2000 + " " + ("w" * 2000 + " ") * 4000})
    async with house(fast) as place, on_a_socket(place.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(chat_bytes(stream=True, max_tokens=4000))
        await eventually(lambda: place.backend("only").running == 1)
        await asyncio.sleep(0.2)
        assert place.backend("only").running == 1, "a reader that is slow holds its own stream back"
        writer.transport.abort()
        await eventually(lambda: place.app.admission.running == 0)


async def test_a_client_that_leaves_while_its_route_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    async def undecided(*_: object) -> None:
        await asyncio.Event().wait()

    async with house(ENDLESS) as place, on_a_socket(place.app) as port:
        monkeypatch.setattr(place.dispatcher, "route", undecided)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat_bytes(max_tokens=4000))
        await eventually(lambda: place.backend("only").running == 1)  # the only model begins at once
        writer.close()
        await eventually(lambda: place.app.admission.running == 0)
        assert (place.backend("only").running, place.backend("only").aborted) == (0, 1)


async def test_a_client_that_leaves_the_queue() -> None:
    async with house(SILENT, max_running=1) as place, on_a_socket(place.app) as port:
        writers = []
        for queued in (0, 1, 2):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(chat_bytes())
            writers.append(writer)
            await eventually(
                lambda queued=queued: place.app.admission.queued == queued and place.app.lifelines
            )
        writers[1].close()
        await eventually(lambda: place.app.admission.queued == 1)
        writers[0].close()
        await eventually(lambda: place.backend("only").aborted == 1 and place.backend("only").running == 1)
        writers[2].close()
        await eventually(lambda: place.app.admission.running == 0)


async def test_a_client_that_leaves_in_the_middle_of_its_request() -> None:
    async with house() as place, on_a_socket(place.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat_bytes(length=5000))
        await eventually(lambda: len(place.app.lifelines) == 1)
        assert place.app.admission.running == 0
        writer.close()
        await eventually(lambda: len(place.app.lifelines) == 0)


async def test_one_connection_serves_many_requests_one_after_the_other() -> None:
    async with house() as place, on_a_socket(place.app) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for stream in (False, True) * 10:
                body = {"model": "auto", "messages": ASK, "stream": stream}
                response = await http.post("/v1/chat/completions", json=body)
                assert response.status_code == 200
        assert await metrics_code(place, "small", "200") == 20
        assert await metrics_code(place, "small", "499") == 0


async def test_a_thousand_requests_from_two_hundred_connections_each_get_one_answer() -> None:
    place_bounds = {"max_running": 16, "max_queue": 32}
    fast = member("only", {"answer": "one two three", "first_token_s": 0.002})
    async with house(fast, **place_bounds) as place, on_a_socket(place.app) as port:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as http:

            async def one(number: int) -> int:
                body = {"model": "auto", "messages": ASK, "stream": bool(number % 2)}
                async with http.post(url, json=body) as response:
                    text = await response.text()
                if response.status == 200:
                    assert text.count("chat.completion") == (5 if number % 2 else 1)
                else:
                    assert int(response.headers["retry-after"]) >= 1
                return response.status

            codes = await asyncio.gather(*(one(number) for number in range(1000)))
    assert set(codes) <= {200, 429}
    assert codes.count(200) > 100
