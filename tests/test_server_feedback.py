"""Ratings: what a client says of an answer is in the ledger, where `pinnace fit` reads it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from key_fixtures import OTHER, SECRET, ask, bearer, key
from server_fixtures import ASK, House, ScriptedDispatcher, eventually, scripted_fleet
from test_server_errors import error_of

from pinnace.config import Server
from pinnace.router.ledger import Ledger
from pinnace.router.ledger_feedback import read_feedback
from pinnace.server.app import create_app

PATH = "/v1/feedback"


@asynccontextmanager
async def rated_house(
    folder: Path, server: Server | None = None, **ledger: bool
) -> AsyncGenerator[tuple[House, Path], None]:
    """An application with a ledger on disk, and where that is."""
    path = folder / "ledger.sqlite"
    dispatcher = ScriptedDispatcher(scripted_fleet())
    dispatcher.ledger = Ledger(path, **ledger)  # type: ignore[assignment]
    await dispatcher.start()
    yield House(create_app(dispatcher, server or Server()), dispatcher), path
    await dispatcher.drain()


async def rate(place: House, **fields: Any) -> httpx.Response:
    async with place.http() as http:
        return await http.post(PATH, json=fields)


async def answer_id(place: House) -> str:
    async with place.client() as client:
        return (await client.chat.completions.create(model="auto", messages=ASK)).id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "score"),
    [({"score": 0.25}, 0.25), ({"rating": "up"}, 1.0), ({"rating": "down"}, 0.0), ({"score": 1}, 1.0)],
)
async def test_a_rating_given_at_once_is_in_the_ledger(
    tmp_path: Path, said: dict[str, Any], score: float
) -> None:
    async with rated_house(tmp_path) as (place, path):
        name = await answer_id(place)
        response = await rate(place, id=name, **said)
    assert response.status_code == 200
    assert response.json() == {"object": "feedback", "id": name, "score": score}
    assert [each.rating for each in read_feedback(path)[name]] == [score]


async def test_any_endpoints_answer_can_be_rated_and_the_last_rating_counts(tmp_path: Path) -> None:
    async with rated_house(tmp_path) as (place, path), place.client() as client:
        text = await client.completions.create(model="auto", prompt="capital")
        response = await client.responses.create(model="auto", input="capital")
        for name in (text.id, response.id):
            assert (await rate(place, id=name, score=0)).status_code == 200
            assert (await rate(place, id=name, score=1)).status_code == 200
            assert (await rate(place, id=name, score=1)).status_code == 200
    assert [found[-1].rating for found in read_feedback(path).values()] == [1, 1]


@pytest.mark.parametrize(("stores", "kept"), [(False, None), (True, "too long")])
async def test_a_comment_is_kept_only_where_text_is(tmp_path: Path, stores: bool, kept: str | None) -> None:
    async with rated_house(tmp_path, store_text=stores) as (place, path):
        name = await answer_id(place)
        assert (await rate(place, id=name, score=0, comment="too long")).status_code == 200
    assert read_feedback(path)[name][0].comment == kept


async def test_an_unknown_answer_is_404_and_leaves_nothing(tmp_path: Path) -> None:
    async with rated_house(tmp_path) as (place, path):
        response = await rate(place, id="chatcmpl-nobody", score=1)
    assert response.status_code == 404
    assert error_of(response) == {
        "message": "id: no answer 'chatcmpl-nobody' is in this server's ledger",
        "type": "invalid_request_error",
        "param": "id",
        "code": "answer_not_found",
    }
    assert read_feedback(path) == {}


async def test_a_key_rates_its_own_answers_only_and_hears_of_no_others(tmp_path: Path) -> None:
    keys = Server.model_validate({"keys": [key(), key("bob", OTHER)], "api_keys": ["plain"]})
    async with rated_house(tmp_path, keys) as (place, path):
        mine = (await ask(place)).json()["id"]
        for is_written in (False, True):
            if is_written:
                await eventually(lambda: not place.dispatcher.ledger._unwritten)  # type: ignore[attr-defined]
            async with place.http() as http:
                body = {"id": mine, "score": 0}
                refused = [await http.post(PATH, json=body, headers=bearer(s)) for s in (OTHER, "plain")]
                taken = await http.post(PATH, json={**body, "score": 1}, headers=bearer(SECRET))
            assert taken.status_code == 200
            for each in refused:
                assert each.status_code == 404
                assert error_of(each) == {
                    "message": f"id: no answer {mine!r} is in this server's ledger",
                    "type": "invalid_request_error",
                    "param": "id",
                    "code": "answer_not_found",
                }
    assert {found.rating for found in read_feedback(path)[mine]} == {1}


async def test_without_a_ledger_no_answer_is_known(tmp_path: Path) -> None:
    async with rated_house(tmp_path) as (place, _):
        ledger, place.dispatcher.ledger = place.dispatcher.ledger, None  # type: ignore[assignment]
        response = await rate(place, id="x", score=1)
        place.dispatcher.ledger = ledger
    assert (response.status_code, error_of(response)["code"]) == (404, "answer_not_found")


REFUSED: list[tuple[dict[str, Any], str | None, str, str]] = [
    ({"score": 1}, "id", "missing_required_parameter", "is required"),
    ({"id": "x"}, None, "invalid_value", "expected either score or rating"),
    ({"id": "x", "score": 1, "rating": "up"}, None, "invalid_value", "expected either score or rating"),
    ({"id": "x", "score": 1.5}, "score", "invalid_value", "less than or equal to 1, got 1.5"),
    ({"id": "x", "score": True}, "score", "invalid_value", "a valid number, got True"),
    ({"id": "x", "rating": "good"}, "rating", "invalid_value", "'up' or 'down'"),
    ({"id": "x" * 129, "score": 1}, "id", "invalid_value", "a length of at most 128"),
    ({"id": "x", "score": 1, "comment": "c" * 2001}, "comment", "invalid_value", "a length of at most 2000"),
    ({"id": "x", "stars": 5}, "stars", "unknown_parameter", "unknown field"),
]


@pytest.mark.parametrize(("fields", "param", "code", "said"), REFUSED)
async def test_what_is_wrong_is_refused_by_name(
    tmp_path: Path, fields: dict[str, Any], param: str | None, code: str, said: str
) -> None:
    async with rated_house(tmp_path) as (place, _):
        response = await rate(place, **fields)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert said in str(error["message"])
