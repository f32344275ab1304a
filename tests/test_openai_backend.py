"""A model behind any OpenAI-compatible server: well-behaved, broken and hostile ones, on real sockets."""

import asyncio
import socket
import traceback
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import ASKED, cascade_of, failure_of, run, scripted
from server_fixtures import eventually
from stand_in_remote import (
    DONE,
    Line,
    StandIn,
    choice,
    event,
    hang,
    logprobs,
    pause,
    reset,
    stand_in_remote,
    words,
)

from pinnace.config import OpenAIMember
from pinnace.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    RequestError,
)
from pinnace.models import openai_backend as module
from pinnace.models.completion import Delta, Message, Request, TokenLogprob, Usage
from pinnace.models.event_stream import LINE_BYTES, EventStreamError, events
from pinnace.models.openai_backend import OpenAIBackend
from pinnace.models.openai_fault import error_of_event, error_of_status

KEY = "sk-s3cr3t-0123456789"
FAST = {"connect_s": 2, "first_token_s": 2, "stall_s": 2}


@asynccontextmanager
async def remote(
    *said: object, status: int = 200, **fields: object
) -> AsyncGenerator[tuple[OpenAIBackend, StandIn], None]:
    """A backend, and the stand-in that it talks to."""
    async with stand_in_remote(*said, status=status) as place:
        backend = backend_at(place.url, **fields)
        yield backend, place
        await backend.drain()


def backend_at(url: str, **fields: object) -> OpenAIBackend:
    plain = {"name": "large", "backend": "openai", "base_url": url, "model": "gpt", "api_key": KEY}
    price = {"input": 2, "output": 8}
    return OpenAIBackend(OpenAIMember.model_validate({**plain, "price": price, "timeouts": FAST, **fields}))


async def deltas_of(backend: OpenAIBackend, request: Request = ASKED) -> list[Delta]:
    return [delta async for delta in backend.stream(request)]


async def error_of(*said: object, request: Request = ASKED, status: int = 200, **fields: object) -> Exception:
    """How a backend fails on what the stand-in says; it tells no key and leaves nothing running."""
    async with remote(*said, status=status, **fields) as (backend, _):
        error = await failure_of(deltas_of(backend, request))
        assert backend.running == 0
    assert KEY not in "".join(traceback.format_exception(error))
    assert str(error).startswith("large: ")
    return error


def text_of(deltas: list[Delta], index: int = 0) -> str:
    return "".join(delta.text for delta in deltas if delta.index == index)


async def test_an_answer_with_log_probabilities_and_the_servers_own_count() -> None:
    said = [
        event(choice("", role="assistant")),
        event(choice("It", logprobs=logprobs("It", -0.5, [("He", -1.5), ("It", -0.5)]))),
        event(choice(" is", logprobs=logprobs(" is", -0.25, [(" is", -0.25)]))),
        event(choice(finish="stop")),
        event(usage={"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}),
        DONE,
    ]
    async with remote(*said) as (backend, _):
        deltas = await deltas_of(backend)
    assert text_of(deltas) == "It is"
    assert deltas[0].logprobs == (TokenLogprob("It", -0.5, (("It", -0.5), ("He", -1.5))),)
    assert [delta.finish_reason for delta in deltas] == [None, None, "stop", None]
    assert [delta.usage for delta in deltas] == [Usage(7, 1), Usage(7, 2), Usage(7, 2), Usage(11, 2)]


async def test_it_asks_as_the_wire_wants_and_sends_the_key_in_the_header_alone() -> None:
    asked = Request(
        (Message("system", "Be brief."), Message("user", "Hi", {"name": "ann"})),
        max_tokens=9,
        n=2,
        temperature=0.5,
        stop=("\n",),
        seed=7,
        top_logprobs=2,
        response_format={"type": "json_object"},
    )
    said = [event(choice("a", 0, "stop"), choice("b", 1, "stop")), DONE]
    async with remote(*said) as (backend, place):
        await deltas_of(backend, asked)
    assert place.asked == [
        {
            "model": "gpt",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi", "name": "ann"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
            "n": 2,
            "temperature": 0.5,
            "stop": ["\n"],
            "seed": 7,
            "logprobs": True,
            "top_logprobs": 2,
            "response_format": {"type": "json_object"},
        }
    ]
    (headers,) = place.headers
    assert headers["request"] == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "identity"
    assert KEY not in repr(place.asked) + repr(backend) + repr(vars(backend))


async def test_what_the_configuration_samples_with_is_sent_where_the_request_says_nothing() -> None:
    async with remote(*words("a"), sampling={"temperature": 0.2}) as (backend, place):
        await deltas_of(backend)
        await deltas_of(backend, replace(ASKED, temperature=0.0))
    assert [body.get("temperature") for body in place.asked] == [0.2, 0.0]
    assert all("top_p" not in body for body in place.asked)


async def test_without_a_key_no_header_is_sent() -> None:
    async with remote(*words("a"), api_key=None) as (backend, place):
        await deltas_of(backend)
    assert "authorization" not in place.headers[0]


async def test_without_usage_pieces_are_counted() -> None:
    async with remote(*words("one ", "two ", "three"), DONE) as (backend, _):
        deltas = await deltas_of(backend)
    assert deltas[-1].usage == Usage(len(ASKED.text()) // 4, 3)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [({"prompt_tokens": 11}, Usage(11, 1)), ({"completion_tokens": 5}, Usage(7, 5)), (None, Usage(7, 1))],
)
async def test_half_a_count_fills_only_its_half(usage: dict[str, int] | None, expected: Usage) -> None:
    async with remote(*words("one"), event(usage=usage), DONE) as (backend, _):
        deltas = await deltas_of(backend)
    assert deltas[-1].usage == expected


async def test_choices_come_interleaved_and_tool_calls_in_pieces() -> None:
    def call(index: int, **function: str) -> dict[str, object]:
        piece = {"index": 0, "function": function, "extra": {"not": "ours"}}
        return {"index": index, "delta": {"tool_calls": [piece]}}

    said = [
        event(call(0, name="look_up"), choice("Hm", 1)),
        event(call(0, arguments='{"a":')),
        event(call(0, arguments="1}")),
        event(choice(finish="tool_calls"), choice(None, 1, "length")),
    ]
    async with remote(*said) as (backend, _):
        deltas = await deltas_of(backend, replace(ASKED, n=2))
    assert [delta.tool_calls for delta in deltas if delta.tool_calls] == [
        ({"index": 0, "function": {"name": "look_up"}},),
        ({"index": 0, "function": {"arguments": '{"a":'}},),
        ({"index": 0, "function": {"arguments": "1}"}},),
    ]
    assert text_of(deltas, 1) == "Hm"
    assert {delta.index: delta.finish_reason for delta in deltas} == {0: "tool_calls", 1: "length"}
    assert deltas[-1].usage == Usage(7, 4)


async def test_events_may_be_torn_anywhere_and_hold_any_text() -> None:
    body = (
        b": hello\r\n\r\n" + b"".join(words("Où? ", "🚢\u2028\x85 ", "done")).replace(b"\n", b"\r\n") + DONE
    )
    for size in (1, 2, 3, 7, 1000):
        async with remote(*(body[at : at + size] for at in range(0, len(body), size))) as (backend, _):
            assert text_of(await deltas_of(backend)) == "Où? 🚢\u2028\x85 done"


async def test_other_fields_of_events_are_passed_over() -> None:
    noise = b"event: message\nid: 7\nretry: 100\ndata:\n\n: ping\n\n"
    async with remote(noise, *words("a"), noise, DONE) as (backend, _):
        assert text_of(await deltas_of(backend)) == "a"


async def test_connections_are_used_again() -> None:
    async with remote(*words("a"), event(usage={"prompt_tokens": 1}), DONE) as (backend, place):
        for _ in range(3):
            await deltas_of(backend)
        assert place.connections == 1


# Servers that break.


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


# Servers that dawdle.


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


# Error statuses.

PAGE = b"<html><h1>Bad gateway</h1></html>"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"", "answered 500 Internal Server Error"),
        (502, PAGE, "answered 502 Bad Gateway"),
        (429, b'{"error": {"message": "Slow\\ndown"}}', "answered 429 Too Many Requests: Slow down"),
        (503, b'{"error": "asleep"}', "answered 503 Service Unavailable: asleep"),
        (400, b'{"message": "no such field"}', "answered 400 Bad Request: no such field"),
        (400, b'{"error": {"message": 7}}', "answered 400 Bad Request"),
        (307, b"", "answered 307 Temporary Redirect"),
        (204, b"", "answered 204 No Content"),
        (799, b"", "answered 799"),
        (401, f'{{"error": {{"message": "wrong key {KEY}"}}}}'.encode(), "it refuses the key or the model"),
        (
            403,
            b'{"error": {"message": "not you"}}',
            "answered 403 Forbidden: it refuses the key or the model",
        ),
        (404, f'{{"error": {{"message": "{KEY} sees no gpt"}}}}'.encode(), "404 Not Found: *** sees no gpt"),
        (500, b'{"error": {"message": "' + b"x" * 9000 + b'"}}', "answered 500 Internal Server Error"),
    ],
)
async def test_an_error_status_is_told_in_one_line(status: int, body: bytes, message: str) -> None:
    error = await error_of(body, status=status)
    assert isinstance(error, BackendUnavailableError)
    assert message in str(error)
    assert "\n" not in str(error)
    assert "not you" not in str(error)


async def test_an_error_that_never_ends_is_not_read_to_its_end() -> None:
    error = await error_of(b'{"error":', *[b" " * 4096] * 500, hang, status=500)
    assert str(error) == "large: answered 500 Internal Server Error"


async def test_an_error_whose_body_hangs_is_told_all_the_same() -> None:
    error = await error_of(b"{", hang, status=500, timeouts=FAST | {"first_token_s": 0.5})
    assert str(error) == "large: answered 500 Internal Server Error"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "Too long.", "code": "context_length_exceeded"}}',
        b'{"message": "This model\'s maximum context length is 8192 tokens.", "code": 400}',
    ],
)
async def test_a_prompt_that_is_too_long_is_the_requests_fault(body: bytes) -> None:
    error = await error_of(body, status=400)
    assert isinstance(error, ContextTooLongError)
    assert (error.param, error.code) == ("messages", "context_length_exceeded")


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with stand_in_remote(*words("stolen")) as thief:

        async def redirect(line: Line) -> None:
            await line.say(f"HTTP/1.1 307 X\r\nlocation: {thief.url}\r\ncontent-length: 0\r\n\r\n".encode())

        async with remote() as (backend, place):
            place.answer = redirect
            assert isinstance(await failure_of(deltas_of(backend)), BackendUnavailableError)
        assert thief.connections == 0


@given(st.binary(max_size=300), st.integers(100, 999))
def test_any_error_body_is_one_short_line(body: bytes, status: int) -> None:
    error = error_of_status("large", status, body, KEY)
    assert len(str(error)) < 300
    assert str(error).isprintable()


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.dictionaries(st.text(), x) | st.lists(x))
)
def test_any_error_event_is_one_short_line(error: object) -> None:
    said = str(error_of_event("large", error, ""))
    assert len(said) < 300
    assert said.isprintable()


def test_a_long_message_is_cut_after_the_key_is_struck_out() -> None:
    said = str(error_of_event("large", {"message": "x" * 190 + KEY + "y" * 100}, KEY))
    assert "sk-" not in said
    assert said.endswith("...")


# Requests, and the end.


async def test_a_request_that_json_cannot_hold_is_the_requests_fault() -> None:
    async with remote(*words("a")) as (backend, place):
        error = await failure_of(deltas_of(backend, replace(ASKED, temperature=float("nan"))))
        assert isinstance(error, RequestError)
        assert place.asked == []
        half = replace(ASKED, messages=(Message("user", "half a pair: \ud83d"),))
        assert text_of(await deltas_of(backend, half)) == "a"


async def test_closing_the_stream_closes_the_connection() -> None:
    async with remote(event(choice("It")), hang) as (backend, place):
        async with aclosing(backend.stream(ASKED)) as deltas:
            await anext(deltas)
            assert (backend.running, len(place.open)) == (1, 1)
        assert backend.running == 0
        await eventually(lambda: not place.open)


async def test_cancelling_closes_the_connection_at_any_point_after_the_request() -> None:
    said = [pause(0.005), *(part for word in "abcde" for part in (event(choice(word)), pause(0.005)))]
    async with remote(*said, *words("f")) as (backend, place):
        for step in range(12):
            task = asyncio.create_task(deltas_of(backend))
            await eventually(lambda: len(place.asked) == step + 1)  # noqa: B023 - it is asked right here
            await asyncio.sleep(0.004 * step)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert backend.running == 0
        assert text_of(await deltas_of(backend)) == "abcdef"
        await eventually(lambda: len(place.open) <= 1)


async def test_draining_waits_for_what_runs_and_lets_nothing_new_in() -> None:
    async with remote(event(choice("It")), pause(0.3), *words(" is")) as (backend, _):
        running = asyncio.create_task(deltas_of(backend))
        await eventually(lambda: backend.running)
        draining = asyncio.create_task(backend.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        late = await failure_of(deltas_of(backend))
        assert str(late) == "large: is shut down"
        assert text_of(await running) == "It is"
        await draining


async def test_many_at_once_each_get_their_own() -> None:
    async with remote(*words("one ", "two"), DONE) as (backend, place):
        answers = await asyncio.gather(*(deltas_of(backend) for _ in range(50)))
        assert {text_of(deltas) for deltas in answers} == {"one two"}
        assert (backend.running, len(place.asked)) == (0, 50)


# In a cascade.


@pytest.mark.parametrize("hold_tokens", [None, 2], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([hang], "large: no token within 0.5 s"),
        ([event(choice("", role="assistant")), hang], "large: no token within 0.5 s"),
        ([reset], "large: the connection broke (RemoteProtocolError)"),
        ([PAGE], "large: expected server-sent events, got something else"),
        ([event(choice("", role="assistant")), event(error="full")], "large: broke off: full"),
    ],
    ids=["silent", "a role and no word", "torn down", "a page", "an error"],
)
async def test_where_the_remote_model_fails_the_small_answer_is_returned(
    said: list[object], why: str, hold_tokens: int | None
) -> None:
    small = scripted("small", "I think it is Paris.", probability=0.2)
    async with remote(*said, timeouts=FAST | {"first_token_s": 0.5}) as (backend, _):
        ran = await run(cascade_of(small, backend), hold_tokens)
        assert (ran.text(), ran.answered.model) == ("I think it is Paris.", "small")
        assert ran.answered.why == f"not escalated: {why}"
        assert backend.running == 0


async def test_an_escalated_answer_costs_what_both_rungs_cost() -> None:
    small = scripted("small", "I think it is Paris.", price=1, probability=0.2)
    usage = event(usage={"prompt_tokens": 100, "completion_tokens": 10})
    async with remote(*words("It ", "is"), usage, DONE) as (backend, _):
        ran = await run(cascade_of(small, backend), 2)
    assert (ran.text(), ran.answered.usage) == ("It is", Usage(100, 10))
    assert ran.answered.cost_usd == pytest.approx((6 + 2) / 1e6 + (100 * 2 + 10 * 8) / 1e6)


# The event stream itself.


async def values_of(body: bytes, cuts: list[int], most: int = 10**6) -> list[bytes]:
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})

    async def parts() -> AsyncGenerator[bytes, None]:
        for begin, end in pairwise(edges):
            yield body[begin:end]

    return [value async for value in events(parts(), most)]


@given(
    st.lists(st.binary(min_size=1, max_size=20)),
    st.lists(st.integers(0, 400)),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_events_come_back_however_they_are_torn(said: list[bytes], cuts: list[int], end: bytes) -> None:
    plain = [value.translate(None, b"\r\n").strip() for value in said]
    body = b"".join(b"data: " + value + end + end for value in plain)
    assert asyncio.run(values_of(body, cuts)) == [value for value in plain if value]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_are_events_or_an_error(body: bytes, cuts: list[int]) -> None:
    async def read() -> list[bytes]:
        try:
            return await values_of(body, cuts)
        except EventStreamError:
            return []

    assert asyncio.run(read()) is not None
