"""Every way to be refused: status, type, param, code and message in OpenAI's envelope."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator

import httpx
import openai
import pytest
from server_fixtures import ASK, House, eventually, house, member, on_a_socket

from pinnace.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextTooLongError,
    NoCapableModelError,
    SelfTestError,
)
from pinnace.models.fleet import MemberStatus

CHAT = "/v1/chat/completions"
BODY = {"model": "auto", "messages": ASK}


def error_of(response: httpx.Response) -> dict[str, object]:
    """The envelope's inside; every error has all of it, and a request id."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, object] = response.json()["error"]
    assert list(response.json()) == ["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return error


async def post(place: House, **sent: object) -> httpx.Response:
    async with place.http() as http:
        return await http.post(CHAT, **sent)


async def test_an_unknown_model_is_404() -> None:
    async with house() as place, place.client() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-5", messages=ASK)
    assert error_of(caught.value.response) == {
        "message": "the fleet has no model 'gpt-5'; it has: auto, small, large",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


async def test_a_bad_field_is_400() -> None:
    async with house() as place, place.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="auto", messages=ASK, temperature=3)
    assert error_of(caught.value.response) == {
        "message": "temperature: expected less than or equal to 2, got 3",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_value",
    }


@pytest.mark.parametrize("key", [None, "wrong", "", "secret-1x", "Secret-1"])
async def test_a_wrong_key_is_401(key: str | None) -> None:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with house(api_keys=["secret-1", "secret-2"]) as place:
        response = await post(place, json=BODY, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        None,
        "invalid_api_key",
    )
    assert str(error["message"]).startswith("The API key that was given" if key else "No API key was given")


async def test_the_openai_client_raises_its_own_401_and_any_of_the_keys_opens() -> None:
    async with house(api_keys=["secret-1", "secret-2"]) as place:
        with pytest.raises(openai.AuthenticationError):
            await place.client("nope").models.list()
        for key in ("secret-1", "secret-2"):
            answer = await place.client(key).chat.completions.create(model="auto", messages=ASK)
            assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("scheme", ["Basic secret-1", "secret-1", "Bearer", "Bearer  "])
async def test_another_scheme_is_no_key(scheme: str) -> None:
    async with house(api_keys=["secret-1"]) as place:
        response = await post(place, json=BODY, headers={"authorization": scheme})
    assert (response.status_code, error_of(response)["code"]) == (401, "invalid_api_key")


async def test_a_path_that_is_not_there_is_404() -> None:
    async with house() as place, place.http() as http:
        response = await http.get("/v1/nothing")
    assert response.status_code == 404
    assert error_of(response) == {
        "message": "There is no such path here; GET /openapi.json lists those that there are.",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }


async def test_a_wrong_method_is_405_and_says_which_is_right() -> None:
    async with house() as place, place.http() as http:
        response = await http.get(CHAT)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        None,
        "method_not_allowed",
    )
    assert "Allow" in str(error["message"])


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content-type": "text/plain"}, "Content-Type: expected application/json, got 'text/plain'"),
        ({}, "Content-Type: expected application/json, got ''"),
        (
            {"content-type": "application/json", "content-encoding": "gzip"},
            "Content-Encoding: expected an uncompressed body, got 'gzip'",
        ),
    ],
)
async def test_a_body_of_another_form_is_400(headers: dict[str, str], message: str) -> None:
    async with house() as place:
        response = await post(place, content=json.dumps(BODY).encode(), headers=headers)
    assert response.status_code == 400
    assert error_of(response) == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "not_json",
    }


@pytest.mark.parametrize(
    "body", [b"{", b'{"model": "\xff"}', b"[" * 200_000], ids=["cut", "not utf-8", "deep"]
)
async def test_what_is_not_json_is_400(body: bytes) -> None:
    async with house() as place:
        response = await post(place, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_json")
    assert str(error["message"]).startswith("The body is not valid JSON: ")


TOO_LARGE = {
    "message": "The body is larger than 1000 bytes, the most that this server reads.",
    "type": "invalid_request_error",
    "param": None,
    "code": "body_too_large",
}


async def test_a_body_that_says_it_is_too_large_is_413_unread() -> None:
    async with house(limits={"body_bytes": 1000}) as place:
        response = await post(place, json={**BODY, "user": "x" * 1000})
    assert response.status_code == 413
    assert error_of(response) == TOO_LARGE


async def test_a_body_that_does_not_say_its_length_is_counted() -> None:
    sent = 0

    async def parts() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 400

    async with house(limits={"body_bytes": 1000}) as place:
        response = await post(place, content=parts(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert error_of(response) == TOO_LARGE


async def test_reading_stops_at_the_cap() -> None:
    received = 0
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        nonlocal received
        if sent:  # the answer has left: the client hangs up
            return {"type": "http.disconnect"}
        received += 1
        return {"type": "http.request", "body": b" " * 400, "more_body": True}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers}
    async with house(limits={"body_bytes": 1000}) as place:
        await place.app(scope, receive, send)
    assert received == 3
    assert sent[0]["status"] == 413


async def test_the_openai_client_sees_413_on_a_real_socket() -> None:
    async with house(limits={"body_bytes": 100_000}) as place, on_a_socket(place.app) as port:
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
            long = [{"role": "user", "content": "x" * 5_000_000}]
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(model="auto", messages=long)
            assert caught.value.status_code == 413
            answer = await client.chat.completions.create(model="auto", messages=ASK)
            assert answer.model == "small"


async def test_a_full_queue_is_429_with_when_to_come_back() -> None:
    slow = member("only", {"answer": "one", "first_token_s": 5})
    async with house(slow, max_running=1, max_queue=1) as place:
        tasks = [asyncio.create_task(post(place, json=BODY)) for _ in range(2)]
        await eventually(lambda: place.app.admission.queued == 1)
        response = await post(place, json=BODY)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    assert error_of(response) == {
        "message": "The server is full: 1 requests run and 1 wait.",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
    }


async def test_a_fleet_that_is_not_ready_is_503() -> None:
    async with house() as place:
        for name in ("small", "large"):
            place.dispatcher.fleet.status[name] = MemberStatus("starting")
        response = await post(place, json=BODY)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert error_of(response) == {
        "message": "The fleet is not ready yet.",
        "type": "server_error",
        "param": None,
        "code": "not_ready",
    }


async def test_a_server_that_drains_is_503() -> None:
    async with house() as place:
        place.app.close(retry_after=7)
        response = await post(place, json=BODY)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert error_of(response) == {
        "message": "The server is stopping and takes no new requests.",
        "type": "server_error",
        "param": None,
        "code": "draining",
    }


async def test_a_named_member_that_cannot_serve_is_503_and_says_why() -> None:
    async with house() as place:
        place.dispatcher.fleet.status["small"] = MemberStatus("failed", "expected 'Paris', got 'Lyon'")
        response = await post(place, json={**BODY, "model": "small"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert error_of(response)["message"] == "small is failed: expected 'Paris', got 'Lyon'"


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (BackendUnavailableError("gone"), 503, "backend_unavailable", "server_error"),
        (BackendTimeoutError("slow"), 504, "backend_timeout", "server_error"),
        (BackendError("odd"), 502, "backend_error", "server_error"),
        (SelfTestError("wrong text"), 502, "backend_error", "server_error"),
        (ContextTooLongError("long"), 400, "context_length_exceeded", "invalid_request_error"),
        (NoCapableModelError("none"), 400, "no_capable_model", "invalid_request_error"),
    ],
)
async def test_each_of_our_errors_has_its_status(error: Exception, status: int, code: str, kind: str) -> None:
    async with house() as place:
        place.dispatcher.router.bug = error
        response = await post(place, json=BODY)
    assert response.status_code == status
    assert error_of(response) == {"message": str(error), "type": kind, "param": None, "code": code}


async def test_a_bug_is_500_and_shows_nothing_of_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as place:
        place.dispatcher.router.bug = KeyError("/secret/path")
        with caplog.at_level(logging.ERROR):
            response = await post(place, json=BODY, headers={"x-request-id": "mine"})
    assert response.status_code == 500
    assert error_of(response) == {
        "message": "The server has a bug; its log has the details.",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
    assert "request mine: 500" in caplog.text
    assert "Traceback" in caplog.text


async def test_logs_hold_no_prompt_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    async with house(api_keys=["secret-key"]) as place:
        headers = {"authorization": "Bearer secret-key"}
        with caplog.at_level(logging.DEBUG, logger="pinnace"):
            for bug in (None, BackendError("odd"), RuntimeError("bug")):
                place.dispatcher.router.bug = bug
                await post(place, json=BODY, headers=headers)
    assert "secret-key" not in caplog.text
    assert ASK[0]["content"] not in caplog.text


@pytest.mark.parametrize(
    ("sent", "kept"), [("mine-1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("é", False)]
)
async def test_a_sane_request_id_is_kept(sent: str, kept: bool) -> None:
    async with house() as place, place.http() as http:
        response = await http.get("/health/live", headers={"x-request-id": sent.encode()})
    assert (response.headers["x-request-id"] == sent) is kept
    assert kept or response.headers["x-request-id"].startswith("req-")


async def test_two_requests_with_one_id_are_two_completions() -> None:
    async with house() as place:
        answers = [await post(place, json=BODY, headers={"x-request-id": "same"}) for _ in range(2)]
    assert {answer.headers["x-request-id"] for answer in answers} == {"same"}
    assert len({answer.json()["id"] for answer in answers}) == 2
