"""What the ledger teaches, and what it must not: private requests, and text that is not there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from key_fixtures import ask
from ledger_samples import write_ledger
from router_fixtures import ROW
from server_fixtures import house, member

from pinnace.eval.grow.examples import Taught
from pinnace.eval.grow.served import placed_requests, served_requests
from pinnace.models.completion import Message, Request
from pinnace.models.training.rows import TrainingRow
from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.ledger_feedback import read_feedback
from pinnace.router.ledger_row import system_alone


def test_only_what_may_be_learnt_is_taken(tmp_path: Path) -> None:
    plain = replace(ROW, request_id="a", model="large", prompt="p", answer="a", system="")
    rows = [
        plain,
        replace(plain, request_id="b", system="Be brief."),
        replace(plain, request_id="c", model="small"),
        replace(plain, request_id="d", model="small"),
        replace(plain, request_id="e"),
        replace(plain, request_id="f", private=True),
        replace(plain, request_id="g", prompt=None),
        replace(plain, request_id="h", system=None),
        replace(plain, request_id="i", outcome="failed"),
    ]
    write_ledger(tmp_path / "ledger.sqlite", rows, {"d": 0.9, "e": 0.1})
    found, unused = served_requests(tmp_path / "ledger.sqlite", "large")
    assert [(each.is_teachers, each.teaches) for each in found] == [
        *((True, True), (True, True), (False, False)),
        *((False, True), (True, False)),
    ]
    assert [each.asked["system"] for each in found] == [None, "Be brief.", None, None, None]
    assert unused == {
        "private": 1,
        "no stored text": 1,
        "no whole answer": 1,
        "more than one prompt: further turns, tools or a schema": 1,
    }
    taught = [Taught(TrainingRow("p", "a"))] * 4 + [None]
    placed = placed_requests(found, taught, lambda prompts: np.arange(len(prompts)))
    assert [(each.cluster, each.taught is not None) for each in placed] == [
        *((0, True), (1, True), (2, False)),
        *((3, True), (4, False)),
    ]


@pytest.mark.parametrize(
    ("messages", "more", "system"),
    [
        ([("user", "x")], {}, ""),
        ([("system", "s"), ("user", "x")], {}, "s"),
        ([("developer", "s"), ("user", "x")], {}, "s"),
        ([("user", "x"), ("assistant", "y"), ("user", "z")], {}, None),
        ([("user", "x")], {"tools": ({"type": "function"},)}, None),
        ([("user", "x")], {"response_format": {"type": "json_object"}}, None),
    ],
)
def test_a_request_is_kept_for_learning_where_its_prompt_is_all(messages, more, system) -> None:
    request = Request(tuple(Message(role, text) for role, text in messages), **more)
    assert system_alone(request) == system


def test_a_comment_on_a_private_request_is_not_kept(ledger_path: Path) -> None:
    ledger = Ledger(ledger_path, store_text=True)
    ledger.start()
    ledger.add(replace(ROW, private=True))
    ledger.add(replace(ROW, request_id="open"))
    for name in (ROW.request_id, "open"):
        ledger.rate(name, 0.5, "it says Plughtown")
    ledger.stop()
    found = read_feedback(ledger_path)
    assert [found[name][0].comment for name in (ROW.request_id, "open")] == [None, "it says Plughtown"]
    assert [row.private for row in read_ledger(ledger_path)] == [True, False]


@pytest.mark.parametrize(("header", "is_private"), [("true", True), (" TRUE ", True), ("false", False)])
async def test_a_request_may_say_that_it_is_private(header: str, is_private: bool) -> None:
    async with house(member("small", {"answer": "one"})) as place:
        await ask(place, None, headers={"x-pinnace-private": header})
        assert place.backend("small").requests[0].private is is_private


async def test_what_is_neither_is_400() -> None:
    async with house(member("small", {"answer": "one"})) as place:
        response = await ask(place, None, headers={"x-pinnace-private": "perhaps"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"] == "x-pinnace-private: expected 'true' or 'false', got 'perhaps'"
    assert error["param"] == "x-pinnace-private"
