"""The line over HTTP to servers that are full, break, or lie."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_fixtures import KEY, PAGE
from real_server import free_port
from remote_line_fixtures import AS, ASK, envelope, error_on, line_through, line_to, whole
from stand_in_remote import DONE, Answer, Line, answering, choice, event, hang, refusing, reset, words

from pinnace.agents import remote_line
from pinnace.agents.chat_wire import Reading
from pinnace.agents.gathering import reply_of
from pinnace.agents.remote_line import RemoteLine
from pinnace.errors import (
    BackendError,
    BackendFullError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    DeadlineExceededError,
    RequestError,
    UnknownModelError,
)


async def error_of(*said: bytes | Answer, is_stream: bool = False, timeout_s: float = 2) -> Exception:
    """How a call fails where the server says this; it tells no key."""
    async with line_to(*said, timeout_s=timeout_s) as (line, _):
        return await error_on(line, is_stream=is_stream)


@AS
@pytest.mark.parametrize("status", [429, 503])
async def test_a_full_server_is_asked_again_when_it_says(status: int, is_stream: bool) -> None:
    good = answering(*words("Paris."), DONE) if is_stream else answering(whole("Paris."))
    full = refusing(status, b"", retry_after="0.1")
    async with line_through(full, full, good) as (line, place):
        began = time.monotonic()
        asked = reply_of(line.stream(ASK), 1) if is_stream else line.complete(ASK)
        assert (await asked).samples[0].text == "Paris."
        assert time.monotonic() - began >= 0.2
    assert len(place.asked) == 3


@pytest.mark.parametrize(
    ("status", "headers", "asked"),
    [
        (429, {"retry-after": "0"}, 3),
        (503, {"retry-after": "0"}, 3),
        (503, {"retry-after": "60"}, 1),
        (503, {}, 1),
        (503, {"retry-after": "soon"}, 1),
        (429, {"retry-after": "0", "x-should-retry": "false"}, 1),
        (500, {"retry-after": "0"}, 1),
        (400, {"retry-after": "0"}, 1),
    ],
)
async def test_it_is_asked_again_at_most_twice_and_only_where_that_can_help(
    status: int, headers: dict[str, str], asked: int
) -> None:
    async with line_through(refusing(status, envelope(), **headers)) as (line, place):
        await error_on(line)
    assert len(place.asked) == asked


REFUSALS: list[tuple[int, bytes, type[Exception]]] = [
    (400, envelope("invalid_value", "n"), RequestError),
    (400, envelope("context_length_exceeded", "messages"), ContextTooLongError),
    (401, envelope("invalid_api_key", message=f"not {KEY}"), RequestError),
    (403, envelope("model_not_allowed", "model"), RequestError),
    (404, envelope("model_not_found", "model"), UnknownModelError),
    (404, PAGE, RequestError),
    (413, envelope("body_too_large"), RequestError),
    (422, b'{"detail": []}', RequestError),
    (408, envelope("body_too_slow"), BackendTimeoutError),
    (429, envelope("rate_limit_exceeded"), BackendFullError),
    (500, PAGE, BackendUnavailableError),
    (502, envelope("backend_error"), BackendError),
    (502, PAGE, BackendUnavailableError),
    (503, envelope("model_full"), BackendFullError),
    (503, envelope("draining"), BackendUnavailableError),
    (504, envelope("backend_timeout"), BackendTimeoutError),
    (504, envelope("deadline_exceeded"), DeadlineExceededError),
    (504, PAGE, BackendTimeoutError),
    (307, b"", BackendUnavailableError),
    (400, envelope(code=7, param=["n"]), RequestError),
    (400, envelope(code=KEY, param=KEY, message=KEY), RequestError),
]


@AS
@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
async def test_a_status_is_the_error_that_the_other_line_would_raise(
    status: int, body: bytes, kind: type[Exception], is_stream: bool
) -> None:
    async with line_through(refusing(status, body, location="/elsewhere")) as (line, place):
        error = await error_on(line, is_stream=is_stream)
    assert type(error) is kind
    assert str(error).startswith(f"{place.url}: ")
    assert len(place.asked) == 1
    told = json.loads(body)["error"] if body.startswith(b'{"error"') else {}
    if isinstance(error, RequestError):
        shown = [told.get(name) for name in ("param", "code")]
        assert [error.param, error.code] == [v if isinstance(v, str) and v != KEY else None for v in shown]


@AS
async def test_a_connection_that_breaks_or_is_not_to_be_had(is_stream: bool) -> None:
    assert type(await error_of(reset, is_stream=is_stream)) is BackendUnavailableError
    half = event(choice("Par")) if is_stream else whole("Paris.")[:30]
    assert type(await error_of(half, reset, is_stream=is_stream)) is BackendUnavailableError
    line = RemoteLine(f"http://127.0.0.1:{free_port()}", KEY)
    error = await error_on(line, is_stream=is_stream)
    await line.aclose()
    assert type(error) is BackendUnavailableError
    assert "cannot be reached" in str(error)


@AS
async def test_a_server_that_takes_too_long_is_left(is_stream: bool) -> None:
    async def answer(line: Line) -> None:
        await hang(line)
        left.set()

    left = asyncio.Event()
    half = event(choice("Par")) if is_stream else whole("Paris.")[:30]
    for said in ((), (half,)):
        left.clear()
        async with line_to(*said, answer, timeout_s=0.1) as (line, _):
            error = await error_on(line, is_stream=is_stream)
            await asyncio.wait_for(left.wait(), 1)
        assert type(error) is BackendTimeoutError
        assert str(error).endswith("no answer within 0.1 s")


@pytest.mark.parametrize(
    "said",
    [
        PAGE,
        b"[]",
        b'{"choices": []}',
        whole("a", "b"),
        whole("a", pinnace={"model": "small"}),
        whole("a", pinnace={"model": "small", "route": "small", "confidence": 7, "cost_usd": 1e999}),
        whole(choices=[{"index": 0, "message": {"content": "x"}, "finish_reason": None}]),
        b'{"choices": [{"index": 0, "message": {"content": 7}}]}',
        b"",
    ],
)
async def test_what_is_no_answer_is_none(said: bytes) -> None:
    assert type(await error_of(said)) is BackendError


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((PAGE,), BackendError),
        ((whole("Paris."),), BackendError),
        ((b"data: {\n\n",), BackendError),
        ((event(choice("x", index=1)),), BackendError),
        ((event(choice("x")), DONE), BackendError),
        ((event(choice("x")),), BackendError),
        ((event(choice("x")), event(error={"message": f"oh {KEY}"})), BackendError),
        (
            (event(choice("x")), event(error={"message": "oh", "code": "backend_timeout"})),
            BackendTimeoutError,
        ),
        ((event(choice("x")), event(error="oh")), BackendError),
        ((b"data: " + b"x" * 2**22,), BackendError),
    ],
)
async def test_what_is_no_stream_of_an_answer_is_none(said: tuple[bytes, ...], kind: type[Exception]) -> None:
    assert type(await error_of(*said, is_stream=True)) is kind


async def test_no_more_is_read_than_an_answer_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_line, "MOST_BYTES", 1000)
    error = await error_of(whole("x" * 600), b" " * 600, hang)
    assert type(error) is BackendError
    assert "expected at most 1000 bytes, got more" in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "delta", "index", "usage", "model", "pinnace", "tool_calls", "id"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(said=JSON, is_stream=st.booleans())
def test_whatever_a_server_sends_is_an_answer_or_an_error_of_ours(said: Any, is_stream: bool) -> None:
    reading, body = Reading("x", ASK, "auto"), json.dumps(said).encode()
    try:
        deltas = list(reading.deltas(reading.piece(body))) if is_stream else reading.whole(body)
        reading.account(0.1)
    except BackendError:
        return
    assert {delta.index for delta in deltas} <= {0}
