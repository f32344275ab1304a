"""What a pool of connections costs: many requests at once to a stand-in for a remote server.

    .venv/bin/python benchmarks/remote_pool.py [--requests 1000] [--at-once 200] [--repeats 5]

Compares httpx's own client and pool, `pinnace.models.http.Client`, and aiohttp, whose connections that
client has. The stand-in runs in a process of its own and streams a short answer after 20 ms. Runs are
interleaved; what is printed is the median, with the least and the most.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from multiprocessing.connection import Connection

import httpx

from pinnace.models.http import Client, parts_of

WAIT_S = 0.02
WORDS = 8
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}).encode()
Ask = Callable[[], Awaitable[None]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of one connection."""
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'
    chunk = b"%x\r\n%s\r\n" % (len(event), event)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    try:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(request.split(b"content-length:")[1].split(b"\r\n")[0]))
            await asyncio.sleep(WAIT_S)
            writer.write(head + chunk * WORDS + b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def serve(port: Connection) -> None:
    """Be the stand-in until the process is ended."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def timed(ask: Ask, requests: int, at_once: int) -> float:
    """Seconds that `requests` take, `at_once` at a time."""
    left = iter(range(requests))

    async def work() -> None:
        for _ in left:
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.perf_counter() - began


async def httpx_own(url: str, requests: int, at_once: int) -> float:
    """httpx's client and pool, with the limits that Pinnace had."""
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=300) as client:

        async def ask() -> None:
            async with client.stream("POST", "chat/completions", content=BODY) as response:
                async for _ in response.aiter_raw():
                    pass

        return await timed(ask, requests, at_once)


async def pinnace_client(url: str, requests: int, at_once: int) -> float:
    """What Pinnace posts with."""
    async with aclosing(Client(url, {}, connect_s=5, connections=256)) as client:

        async def ask() -> None:
            async with aclosing(await client.post("chat/completions", BODY, {})) as response:
                async for _ in parts_of(response):
                    pass

        return await timed(ask, requests, at_once)


async def aiohttp_own(url: str, requests: int, at_once: int) -> float:
    """aiohttp, for comparison."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            async with session.post(f"{url}/chat/completions", data=BODY) as response:
                await response.read()

        return await timed(ask, requests, at_once)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Compare three clients")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    stand_in = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    stand_in.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    sides = {"httpx's pool": httpx_own, "pinnace": pinnace_client, "aiohttp": aiohttp_own}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        for name, side in sides.items():
            seconds[name].append(asyncio.run(side(url, options.requests, options.at_once)))
    stand_in.terminate()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {sys.version.split()[0]}")
    print(f"{options.requests} requests, {options.at_once} at once, {options.repeats} repeats, interleaved")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        rate = options.requests / median
        print(f"{name:>15}: {median:6.2f} s ({min(taken):.2f} to {max(taken):.2f}), {rate:7.0f} requests/s")


if __name__ == "__main__":
    main()
