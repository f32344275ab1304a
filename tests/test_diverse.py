"""Diverse mode: what counts as the same answer, whom it asks, and when it stops."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import ASKED
from server_fixtures import member

from pinnace.errors import BackendUnavailableError, ContextTooLongError, DeadlineExceededError
from pinnace.models.card import card_of
from pinnace.models.completion import Request
from pinnace.models.tool_calls import ToolCall
from pinnace.router.diverse import Distinct, Sample, Wish, diverse, said, small_first

JSON = Request(ASKED.messages, response_format={"type": "json_object"})


class Models:
    """Models that give their answers in order, and the last one again and again; notes who was asked."""

    def __init__(self, **answers: Sequence[str] | Exception) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int, int]] = []
        self.given = dict.fromkeys(answers, 0)

    async def ask(self, model: str, count: int, number: int) -> list[Sample]:
        self.asked.append((model, count, number))
        answers = self.answers[model]
        if isinstance(answers, Exception):
            raise answers
        first = self.given[model]
        self.given[model] += count
        return [Sample(model, answers[min(at, len(answers) - 1)]) for at in range(first, first + count)]

    async def run(self, wish: Wish, request: Request = ASKED, embed: object = None) -> Distinct:
        return await diverse(wish, request, tuple(self.answers), self.ask, embed)  # type: ignore[arg-type]


async def directions(texts: Sequence[str]) -> np.ndarray:
    """Texts that begin with the same letter point the same way."""
    vectors = np.array([[np.cos(ord(text[0])), np.sin(ord(text[0]))] for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts(found: Distinct) -> list[str]:
    return [sample.text for sample in found.kept]


async def test_what_is_said_in_the_same_words_is_one_answer() -> None:
    found = await Models(small=["Red.", "red", "RED!", "Blue"]).run(Wish(2, 8))
    assert (texts(found), found.drawn, found.valid, found.repeated, found.alike) == (
        ["Red.", "Blue"],
        4,
        4,
        2,
        0,
    )


async def test_what_means_the_same_is_one_answer_where_meaning_is_compared() -> None:
    models = Models(small=["red", "rose", "blue"])
    found = await models.run(Wish(2, 8), embed=directions)
    assert (texts(found), found.alike, found.compares_meaning) == (["red", "blue"], 1, True)
    assert texts(await Models(small=["red", "rose", "blue"]).run(Wish(2, 8))) == ["red", "rose"]


async def test_the_threshold_is_the_wish_s() -> None:
    angle = abs(float(np.cos(ord("a") - ord("b"))))
    for similarity, kept in ((angle - 0.01, ["aa"]), (angle + 0.01, ["aa", "bb"])):
        found = await Models(small=["aa", "bb"]).run(Wish(2, 2, similarity), embed=directions)
        assert texts(found) == kept


async def test_the_next_model_is_asked_when_a_round_brings_nothing_new() -> None:
    models = Models(small=["red"], large=["blue", "green"])
    found = await models.run(Wish(3, 12))
    assert texts(found) == ["red", "blue", "green"]
    assert models.asked == [("small", 3, 0), ("small", 3, 1), ("large", 3, 2)]


async def test_nobody_is_asked_for_more_than_is_needed() -> None:
    models = Models(small=["red", "blue", "green"], large=["grey"])
    assert (await models.run(Wish(3, 12))).drawn == 3
    assert models.asked == [("small", 3, 0)]


async def test_no_more_is_drawn_than_the_bound_and_each_model_has_its_share() -> None:
    models = Models(small=[f"small {i}" for i in range(9)] + ["again"], large=["large"])
    found = await models.run(Wish(8, 10))
    assert (found.drawn, len(found.kept)) == (10, 6)
    assert [(model, count) for model, count, _ in models.asked] == [("small", 5), ("large", 5)]


async def test_answers_that_break_the_form_are_counted_and_not_kept() -> None:
    found = await Models(small=['{"a": 1}', "a: 1", "  ", '{"a": 2}']).run(Wish(2, 4), JSON)
    assert (texts(found), found.drawn, found.valid) == (['{"a": 1}', '{"a": 2}'], 4, 2)


async def test_a_model_that_fails_is_passed_over() -> None:
    models = Models(small=BackendUnavailableError("away"), large=["red", "blue"])
    assert texts(await models.run(Wish(2, 8))) == ["red", "blue"]


@pytest.mark.parametrize("error", [BackendUnavailableError("away"), ContextTooLongError("too long")])
async def test_the_last_failure_is_told_where_nobody_answers(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await Models(small=BackendUnavailableError("first"), large=error).run(Wish(2, 8))


async def test_what_there_is_when_time_is_over_is_the_answer() -> None:
    models = Models(small=["red"], middle=DeadlineExceededError("over"), large=["blue"])
    assert texts(await models.run(Wish(2, 9))) == ["red"]
    assert "large" not in {model for model, _, _ in models.asked}
    with pytest.raises(DeadlineExceededError):
        await Models(small=DeadlineExceededError("over"), large=["blue"]).run(Wish(2, 8))


def test_tool_calls_are_compared_by_their_values() -> None:
    one, other, third = (
        Sample("m", "", (ToolCall("f", arguments),))
        for arguments in ('{"a": 1, "b": 2}', '{"b":2,"a":1}', '{"a": 1, "b": 3}')
    )
    assert said(one) == said(other) != said(third)
    assert said(Sample("m", "", (ToolCall("f", "{"),))) != said(one)


def test_signs_alone_are_compared_as_they_are() -> None:
    assert said(Sample("m", "+")) != said(Sample("m", "-"))


def test_the_cheapest_capable_model_comes_first() -> None:
    cards = [
        card_of(member(name, {"answer": "a"}, price=price), backend="x")
        for name, price in (("b", 9), ("a", 1))
    ]
    assert small_first(cards, ASKED) == ("a", "b")
    assert small_first(cards, JSON) == ()


@given(st.lists(st.text("ab .", max_size=3), min_size=1, max_size=12), st.integers(2, 6), st.integers(2, 20))
async def test_kept_answers_always_differ_and_the_counts_add_up(
    answers: list[str], n: int, most: int
) -> None:
    found = await Models(small=answers).run(Wish(n, max(n, most)))
    assert len({said(sample) for sample in found.kept}) == len(found.kept) <= n
    assert found.drawn <= max(n, most)
    assert len(found.kept) + found.repeated + found.alike <= found.valid <= found.drawn
