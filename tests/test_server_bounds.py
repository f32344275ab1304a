"""Bounds on what a client can make large or slow: JSON, bodies, headers, and reading."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_fixtures import CHAT, error_of
from server_fixtures import ASK, House, eventually, house, member, on_a_socket

from pinnace.config import Limits
from pinnace.server.body import check_shape, depth_of, without_strings
from pinnace.server.envelope import RefusedError

BODY = {"model": "auto", "messages": ASK}
INVALID = "invalid_request_error"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[]:,'),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='a"\\{}[]:'), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, list | dict):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def members(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(members, value.values()))
    return sum(map(members, value)) if isinstance(value, list) else 0


@given(JSON)
def test_members_and_depth_are_exact_whatever_is_in_the_strings(value: object) -> None:
    bare = without_strings(json.dumps(value).encode())
    assert (bare.count(b":"), depth_of(bare)) == (members(value), depth(value))


@given(st.binary(max_size=200) | st.text(alphabet='"\\{}[]:,a').map(str.encode))
def test_what_is_no_json_is_left_to_the_parser_or_refused(body: bytes) -> None:
    code = "body_too_complex"
    try:
        check_shape(body, Limits(json_members=100, json_depth=8))
    except RefusedError as error:
        code = str(error.envelope.code)
    assert code == "body_too_complex"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps({**BODY, **{f"k{n}": 0 for n in range(150_000)}}), "has more than 10000 JSON members"),
        ('{"metadata": ' + '{"a":' * 70 + "1" + "}" * 71, "is nested deeper than 64 levels"),
        ("[" * 900_000 + "]" * 900_000, "is nested deeper than 64 levels"),
    ],
    ids=["150k unknown keys", "70 objects deep", "900k lists deep"],
)
async def test_json_of_too_many_members_or_levels_is_400_at_once(body: str, said: str) -> None:
    async with house() as place, place.http() as http:
        began = time.perf_counter()
        response = await http.post(CHAT, content=body, headers={"content-type": "application/json"})
        took = time.perf_counter() - began
    assert error_of(response) == (400, INVALID, None, "body_too_complex")
    assert response.json()["error"]["message"] == f"The body {said}, the most that this server reads."
    assert took < 0.3  # it was 0.8 s


@pytest.mark.parametrize("body", ['"' + '\\"' * 900_000, '{"a":"' + "{[:" * 500_000, "[" * 200_000])
def test_hostile_bytes_cost_time_in_proportion_to_their_length(body: str) -> None:
    began = time.perf_counter()
    check_shape(body.encode(), Limits())
    assert time.perf_counter() - began < 0.5


async def test_a_long_prompt_full_of_brackets_and_colons_is_taken() -> None:
    async with house() as place, place.http() as http:
        body = {**BODY, "messages": [{"role": "user", "content": "capital {[:]}" * 20_000}]}
        response = await http.post(CHAT, json=body)
    assert response.status_code == 200


# On a socket.


@asynccontextmanager
async def connected(place: House) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    async with on_a_socket(place.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            yield reader, writer
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    """Status and the error of one response on a connection that is closed after it."""
    async with asyncio.timeout(10):
        text = (await reader.read(-1)).decode()
    head, _, body = text.partition("\r\n\r\n")
    assert "connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body[body.index("{") : body.rindex("}") + 1])["error"]


def head(*lines: str) -> bytes:
    return "\r\n".join(
        [f"POST {CHAT} HTTP/1.1", "host: x", "content-type: application/json", *lines]
    ).encode()


async def test_a_body_that_trickles_in_is_408() -> None:
    async with house(read_timeout_s=0.2) as place, connected(place) as (reader, writer):
        writer.write(head("content-length: 100", "", "") + b'{"model": ')
        status, error = await answer_of(reader)
    assert (status, error) == (
        408,
        {
            "message": "The body was not whole within 0.2 s, the longest that this server waits for it.",
            "type": INVALID,
            "param": None,
            "code": "body_too_slow",
        },
    )


@pytest.mark.parametrize(
    "lines",
    [
        [f"x-{n}: y" for n in range(200)],
        ["x-a: " + "y" * 40_000],
        [f"x-{n}: " + "y" * 4_000 for n in range(20)],
    ],
    ids=["many", "one long", "several long"],
)
async def test_a_flood_of_headers_is_431(lines: list[str]) -> None:
    async with house() as place, connected(place) as (reader, writer):
        writer.write(head(*lines, "", ""))
        status, error = await answer_of(reader)
        assert b'pinnace_refusals_total{reason="headers_too_large"} 1.0' in place.app.metrics.render()
    assert (status, error) == (
        431,
        {
            "message": "The headers are more than 128, or larger than 32768 bytes.",
            "type": INVALID,
            "param": None,
            "code": "headers_too_large",
        },
    )


async def test_a_header_without_end_is_431_as_it_comes() -> None:
    async with house() as place, connected(place) as (reader, writer):
        writer.write(head("x-endless: "))
        for size in (10_000, 10_000, 10_000, 3_000):
            await asyncio.sleep(0.05)
            writer.write(b"y" * size)
        status, error = await answer_of(reader)
    assert (status, error["code"]) == (431, "headers_too_large")


async def test_headers_that_trickle_in_are_408() -> None:
    async with house(read_timeout_s=0.2) as place, connected(place) as (reader, writer):
        writer.write(head("x-slow: "))
        status, error = await answer_of(reader)
    assert (status, error["code"], error["param"]) == (408, "headers_too_slow", None)
    assert error["message"] == "The headers were not whole within 0.2 s."


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with house(read_timeout_s=0.2) as place, connected(place) as (reader, _):
        async with asyncio.timeout(5):
            assert await reader.read(-1) == b""


async def test_what_is_no_http_is_400_in_the_envelope() -> None:
    async with house() as place, connected(place) as (reader, writer):
        writer.write(b"HELLO THERE\r\n\r\n")
        status, error = await answer_of(reader)
    assert (status, error["code"], error["type"]) == (400, "invalid_http", INVALID)


async def test_a_connection_serves_on_after_more_time_than_a_head_may_take() -> None:
    async with house(read_timeout_s=0.1) as place, connected(place) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.2)


async def test_a_client_that_takes_nothing_is_cut_and_counted() -> None:
    flood = member("only", {"answer": "word " * 60_000})
    limits = {"max_tokens": 100_000}
    async with (
        house(flood, write_timeout_s=0.4, limits=limits, max_tokens_in_flight=10**6) as place,
        connected(place) as (reader, writer),
    ):
        body = json.dumps({**BODY, "stream": True, "max_tokens": 100_000}).encode()
        writer.write(head(f"content-length: {len(body)}", "", "") + body)
        async with asyncio.timeout(5):
            await reader.readuntil(b"word")
        await eventually(lambda: b'reason="slow_reader"} 1.0' in place.app.metrics.render())
        assert place.app.admission.running == 0
        assert [row.outcome for row in place.rows] == ["abandoned"]


async def test_a_client_that_reads_slowly_but_reads_is_served() -> None:
    slow = member("only", {"answer": "word " * 20, "token_s": 0.05})
    async with house(slow, write_timeout_s=0.2) as place, connected(place) as (reader, writer):
        body = json.dumps({**BODY, "stream": True}).encode()
        writer.write(head(f"content-length: {len(body)}", "", "") + body)
        read = b""
        async with asyncio.timeout(10):
            while b"[DONE]" not in read:
                await asyncio.sleep(0.01)
                read += await reader.read(100)
        assert b"slow_reader" not in place.app.metrics.render()
