"""Diverse answers over the wire: what the body, the headers and the ledger say, and what is refused."""

import json
from typing import Any

import httpx
import pytest
from server_fixtures import ASK, House, house, member
from test_server_seeing import with_energy

from pinnace.config import ScriptedMember
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.embedding_queue import EmbeddingQueue

CHAT = "/v1/chat/completions"
THREE = (
    member("small", {"answer": "Red."}, price=1),
    member("large", {"answer": "Deep green."}, price=9),
    member("middle", {"answer": "Blue!"}, price=3),
)


async def post(place: House, *, model: str = "auto", **fields: Any) -> httpx.Response:
    async with place.http() as http:
        return await http.post(CHAT, json={"model": model, "messages": ASK, **fields})


def texts(response: httpx.Response) -> list[str]:
    return [choice["message"]["content"] for choice in response.json()["choices"]]


async def test_different_answers_come_cheapest_first_and_are_accounted_for() -> None:
    async with house(*THREE) as place:
        response = await post(place, diverse={"n": 3}, max_tokens=8)
    body, headers = response.json(), response.headers
    assert (response.status_code, texts(response)) == (200, ["Red.", "Blue!", "Deep green."])
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    told = body["pinnace"]
    assert told["diverse"] == {
        "wished": 3,
        "distinct": 3,
        "samples": 11,
        "valid": 11,
        "repeated": 8,
        "alike": 0,
        "similarity": None,
        "models": ["small", "middle", "large"],
        "distinct_per_joule": None,
    }
    assert (told["model"], told["route"]) == ("small,middle,large", "small>middle>large")
    assert (headers["x-pinnace-distinct"], headers["x-pinnace-samples"]) == (
        "3",
        str(told["diverse"]["samples"]),
    )
    assert headers["x-pinnace-model"] == body["model"] == "small,middle,large"
    assert "x-pinnace-joules" not in headers
    assert float(headers["x-pinnace-cost-usd"]) == pytest.approx(sum(row.cost_usd for row in place.rows))
    assert body["usage"]["completion_tokens"] == sum(row.completion_tokens for row in place.rows)


async def test_every_round_has_a_row_in_the_ledger_under_the_answer_s_id() -> None:
    async with house(*THREE) as place:
        body = (await post(place, diverse={"n": 2, "max_samples": 3})).json()
    assert [row.request_id for row in place.rows] == [f"{body['id']}-{i}" for i in range(len(place.rows))]
    assert [row.model for row in place.rows] == ["small", "middle"]


async def test_a_named_model_is_asked_alone_and_says_how_few_it_has() -> None:
    async with house(*THREE) as place:
        response = await post(place, model="middle", diverse={"n": 2})
    assert texts(response) == ["Blue!"]
    told = response.json()["pinnace"]["diverse"]
    assert (told["wished"], told["distinct"], told["models"]) == (2, 1, ["middle"])


async def test_meaning_is_compared_where_the_router_has_an_embedder() -> None:
    queue = EmbeddingQueue(HashingEmbedder())
    queue.start()
    alike = (
        member("small", {"answer": "red roses here"}),
        member("large", {"answer": "red roses, here: here"}, price=9),
    )
    async with house(*alike) as place:
        place.dispatcher.router.embeddings = queue  # type: ignore[assignment]
        near = (await post(place, diverse={"n": 2, "similarity": 0.5})).json()["pinnace"]["diverse"]
        far = (await post(place, diverse={"n": 2, "similarity": 1.0})).json()["pinnace"]["diverse"]
    queue.stop()
    assert (near["distinct"], near["alike"] > 0, near["similarity"]) == (1, True, 0.5)
    assert (far["distinct"], far["alike"], far["similarity"]) == (2, 0, 1.0)


async def test_distinct_answers_per_joule_have_the_source_of_the_joules() -> None:
    async with house(with_energy("metered")) as place:
        response = await post(place, diverse={"n": 2, "max_samples": 2})
    told = response.json()["pinnace"]
    assert told["joules"] == pytest.approx(sum(row.joules or 0.0 for row in place.rows))
    assert told["joules"] > 0
    assert told["joules_source"] == "metered: declared: a watt meter, 2026-11-01"
    assert told["diverse"]["distinct_per_joule"] == pytest.approx(1 / told["joules"])
    assert float(response.headers["x-pinnace-joules"]) == pytest.approx(told["joules"], rel=1e-4)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"diverse": {"n": 3}, "stream": True}, "stream", "leave stream out"),
    ({"diverse": {"n": 3}, "n": 3}, "n", "leave n out"),
    ({"diverse": {"n": 3}, "temperature": 0}, "temperature", "more than 0"),
    ({"diverse": {"n": 3}, "accept": 0.5}, "accept", "leave accept out"),
    ({"diverse": {"n": 9}}, "diverse.n", "expected at most 8, got 9"),
    ({"diverse": {"n": 1}}, "diverse.n", "2"),
    ({"diverse": {"n": 2, "max_samples": 65}}, "diverse.max_samples", "expected at most 64, got 65"),
    ({"diverse": {"n": 4, "max_samples": 3}}, "diverse.max_samples", "expected at least n, 4, got 3"),
    ({"diverse": {"n": 4, "similarity": 1.5}}, "diverse.similarity", "1"),
    ({"diverse": {"n": 4, "similar": 0.5}}, "diverse.similar", "did you mean"),
    ({"diverse": 3}, "diverse", "3"),
    ({"diverse": {}}, "diverse.n", "is required"),
]


@pytest.mark.parametrize(("fields", "param", "said"), REFUSED, ids=lambda value: json.dumps(value)[:40])
async def test_what_does_not_go_with_it_is_refused_by_its_field(
    fields: dict[str, Any], param: str, said: str
) -> None:
    async with house(*THREE) as place:
        response = await post(place, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert said in error["message"]
    assert place.rows == []


async def test_a_fleet_that_cannot_answer_says_so_as_ever() -> None:
    broken = ScriptedMember.model_validate(
        {"name": "only", "backend": "scripted", "script": [{"answer": "a", "fault": "refuse"}]}
    )
    async with house(broken) as place:
        response = await post(place, diverse={"n": 2})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "backend_unavailable")


async def test_a_model_that_is_not_there_is_refused_as_ever() -> None:
    async with house(*THREE) as place:
        response = await post(place, model="gpt", diverse={"n": 2})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
