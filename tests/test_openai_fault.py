"""What servers say of their errors, in one line and without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_fixtures import FAST, KEY, PAGE, deltas_of, error_of, remote
from router_fixtures import failure_of
from stand_in_remote import Line, hang, stand_in_remote, words

from pinnace.errors import BackendUnavailableError, ContextTooLongError
from pinnace.models.openai_fault import error_of_event, error_of_status


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
