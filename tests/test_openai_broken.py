"""OpenAI-compatible servers that break, dawdle or talk nonsense, on real sockets."""

import asyncio
import socket

import pytest
from openai_fixtures import FAST, KEY, backend_at, deltas_of, error_of, remote, text_of
from router_fixtures import ASKED, failure_of
from stand_in_remote import DONE, choice, event, hang, logprobs, pause, reset, words

from pinnace.errors import BackendError, BackendTimeoutError, BackendUnavailableError
from pinnace.models import openai_call as module
from pinnace.models.completion import Usage
from pinnace.models.event_stream import LINE_BYTES


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "broke off with 0 of 1 choices finished"),
        ([DONE], "broke off with 0 of 1 choices finished"),
        ([event(choice("It is"))], "broke off with 0 of 1 choices finished"),
        ([event(choice("It is")), DONE, *words("more")], "broke off with 0 of 1 choices finished"),
        ([b"data: {nope\n\n"], "expected OpenAI's chunks, got something else"),
        ([b"data: [1, 2]\n\n"], "expected OpenAI's chunks, got something else"),
        ([b'data: {"choices": "none"}\n\n'], "expected OpenAI's chunks, got something else"),
        ([b'data: "' + b"[" * 5000 + b"\n\n"], "expected OpenAI's chunks, got something else"),
        ([event(choice("a"))[:-8] + b"\xe2\x82\n\n"], "expected OpenAI's chunks, got something else"),
        ([b'data: {"choices": [{"delta": {"content": "\xe2\x82"}}]}\n\n'], "expected OpenAI's chunks"),
        ([event(choice(finish="gave_up"))], "expected OpenAI's chunks, got something else"),
        ([event(choice(7))], "expected OpenAI's chunks, got something else"),  # type: ignore[arg-type]
        ([event(choice("a", 1))], "expected choices 0 to 0, got 1"),
        ([event(choice("a", -1))], "expected choices 0 to 0, got -1"),
        ([event(choice("a", 10**30))], "expected choices 0 to 0, got 1000000"),
        ([event(choice(None, 3, "stop"))], "expected choices 0 to 0, got 3"),
        ([event(choice("a", "x"))], "expected OpenAI's chunks, got something else"),  # type: ignore[arg-type]
        ([event(usage={"completion_tokens": -5})], "expected OpenAI's chunks, got something else"),
        ([event(usage={"completion_tokens": 10**12})], "expected OpenAI's chunks, got something else"),
        ([event(usage={"completion_tokens": "lots"})], "expected OpenAI's chunks, got something else"),
        ([event(choice("a", logprobs=logprobs("a", float("nan"))))], "expected OpenAI's chunks"),
        ([event(choice("a", logprobs=logprobs("a", float("-inf"))))], "expected OpenAI's chunks"),
        ([event(choice("a", logprobs=logprobs("a", -1, [("b", float("inf"))])))], "expected OpenAI's chunks"),
        ([event(choice("a", logprobs=logprobs("a", None)))], "expected OpenAI's chunks"),
        ([b"<!DOCTYPE html>\n<title>Log in</title>"], "expected server-sent events, got something else"),
        (
            [b'{"choices": [{"message": {"content": "hi"}}]}'],
            "expected server-sent events, got something else",
        ),
        ([b"\x00\x01\x02" * 100], "expected server-sent events, got something else"),
        ([b"data: " + b"x" * LINE_BYTES], "an answer of at most"),
        ([*[b"data: " + b" " * 65536 + b"\n"] * 60], "expected an answer of at most 3145728 bytes"),
        ([event(error={"message": f"Overloaded {KEY}\r\n!"})], "broke off: Overloaded *** !"),
        ([event(choice("It is")), event(error="gone")], "broke off: gone"),
        ([event(choice("It is")), event(error={"code": 7})], "broke off with an error"),
    ],
)
async def test_what_is_not_the_wire_is_a_backend_error(said: list[bytes], message: str) -> None:
    error = await error_of(*said)
    assert isinstance(error, BackendError)
    assert message in str(error)
    assert "It is" not in str(error)


@pytest.mark.parametrize(
    "piece",
    [
        7,
        {"index": -1},
        {"index": 5000},
        {"index": "first"},
        {"index": [0]},
        {"function": "look_up"},
        {"function": {"arguments": {"a": 1}}},
        {"function": {"name": 5}},
        {"id": ["a"]},
    ],
)
async def test_a_malformed_piece_of_a_tool_call_is_a_backend_error(piece: object) -> None:
    error = await error_of(event({"index": 0, "delta": {"tool_calls": [piece]}}))
    assert "expected OpenAI's chunks, got something else" in str(error)


@pytest.mark.parametrize("before", [[], [event(choice("It is"))]], ids=["at once", "after a token"])
async def test_a_connection_that_is_torn_down(before: list[bytes]) -> None:
    error = await error_of(*before, pause(0.02), reset)
    assert isinstance(error, BackendUnavailableError)
    assert "large: the connection broke (" in str(error)


async def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        backend = backend_at(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        error = await failure_of(deltas_of(backend))
    await backend.drain()
    assert isinstance(error, BackendUnavailableError)
    assert str(error).startswith("large: cannot be reached: ")


async def test_a_server_that_does_not_let_in() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        backend = backend_at(
            f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeouts=FAST | {"connect_s": 0.1}
        )
        error = await failure_of(deltas_of(backend))
        for one in waiting:
            one.close()
    await backend.drain()
    assert isinstance(error, BackendTimeoutError)
    assert str(error) == "large: cannot be reached within 0.1 s"


@pytest.mark.parametrize(
    "said",
    [
        [hang],
        [event(choice("", role="assistant")), hang],
        [*[b": still here\n\n", pause(0.02)] * 30],
        [*[event(choice("", role="assistant")), pause(0.02)] * 30],
    ],
    ids=["silent", "a role and no word", "comments", "empty chunks"],
)
async def test_a_first_token_that_does_not_come_in_time(said: list[object]) -> None:
    error = await error_of(*said, timeouts=FAST | {"first_token_s": 0.2})
    assert isinstance(error, BackendTimeoutError)
    assert str(error) == "large: no token within 0.2 s"


async def test_headers_that_do_not_come_in_time() -> None:
    async with remote() as (backend, place):
        place.answer = hang
        backend = backend_at(place.url, timeouts=FAST | {"first_token_s": 0.1})
        error = await failure_of(deltas_of(backend))
        assert str(error) == "large: no token within 0.1 s"
        await backend.drain()


@pytest.mark.parametrize("more", [[hang], [*[b": ping\n\n", pause(0.02)] * 30]], ids=["silent", "comments"])
async def test_a_next_token_that_does_not_come_in_time(more: list[object]) -> None:
    error = await error_of(event(choice("It")), *more, timeouts=FAST | {"stall_s": 0.2})
    assert isinstance(error, BackendTimeoutError)
    assert str(error) == "large: nothing for 0.2 s"


async def test_a_slow_reader_is_no_stall() -> None:
    async with remote(*words("a", "b", "c"), timeouts=FAST | {"stall_s": 0.2}) as (backend, _):
        said: list[str] = []
        async for delta in backend.stream(ASKED):
            said.append(delta.text)
            await asyncio.sleep(0.25)
    assert "".join(said) == "abc"


@pytest.mark.parametrize("ending", [hang, reset, b"data: {nope\n\n"], ids=["hangs", "is reset", "is garbage"])
async def test_an_answer_that_is_whole_stays_whole_however_it_ends(
    ending: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.05)
    async with remote(*words("It is"), pause(0.01), ending) as (backend, _):
        deltas = await deltas_of(backend)
        assert (text_of(deltas), backend.running) == ("It is", 0)


async def test_the_count_is_waited_for_a_moment() -> None:
    late = event(usage={"prompt_tokens": 3, "completion_tokens": 4})
    async with remote(*words("It is"), pause(0.05), late, DONE) as (backend, _):
        deltas = await deltas_of(backend)
    assert deltas[-1].usage == Usage(3, 4)
