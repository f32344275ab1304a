"""What a table says of specialists where nobody can score, and what requests with functions are routed by."""

from dataclasses import replace

import numpy as np
import pytest
from router_fixtures import small_state

from pinnace.config import Sampling
from pinnace.eval.asking import Asking
from pinnace.eval.example import Example
from pinnace.eval.outcome import table_of_outcomes
from pinnace.eval.specialists import wrong_elsewhere
from pinnace.eval.table import OutcomeTable
from pinnace.models.card import ModelCard
from pinnace.models.completion import Message, Request
from pinnace.router.estimators.tables import mean_of_groups
from pinnace.router.known import Known
from pinnace.router.routed_text import CALLING, plain_text, routed_text, tells_of_functions

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def test_a_specialist_is_wrong_where_nobody_has_a_score():
    nan = float("nan")
    scores = np.array([[0.0, nan, nan], [nan, nan, 1.0], [nan, nan, nan], [nan, nan, nan]])
    table = OutcomeTable(
        ids=("a", "b", "c", "d"),
        tasks=("t", "t", "chat", "grown/intents"),
        prompts=("w", "x", "y", "z"),
        models=("base", "intents", "large"),
        scores=scores,
        costs=np.full((4, 3), nan),
    )
    found = wrong_elsewhere(table, {"intents", "unknown"})
    expected = [[0.0, nan, nan], [nan, nan, 1.0], [nan, 0.0, nan], [nan, nan, nan]]
    np.testing.assert_array_equal(found.scores, expected)
    assert np.isnan(scores[2, 1])  # the table that was given is as it was


def test_what_is_expected_of_strange_requests_counts_every_group_once():
    scores = np.array([[1.0, 0.5, np.nan]] * 8 + [[0.0, 0.7, np.nan], [np.nan, np.nan, np.nan]])
    groups = np.array([0] * 8 + [1, 2])
    found = mean_of_groups(scores, groups, 4)
    np.testing.assert_allclose(found, [0.5, 0.6, 0.55])


def test_where_all_cost_the_same_a_further_draft_has_a_price_too():
    overall = np.array([[0.5, 10.0], [0.9, 10.0], [0.1, 10.0]])
    known = Known(replace(small_state(), models=("small", "large", "maths"), overall=overall))

    def card(name: str, price: float) -> ModelCard:
        return ModelCard(name, "vllm", price, price, 8192, True, True, Sampling(), name)

    assert known.gap([card("small", 1), card("maths", 1)]) == pytest.approx(0.4)
    assert known.gap([card("maths", 1), card("small", 1), card("large", 9)]) == pytest.approx(0.4)
    assert known.gap([card("small", 1)]) == 0


@pytest.mark.parametrize("choice", [None, "auto", "required"])
def test_a_request_with_functions_is_told_apart(choice):
    request = Request((Message("user", "Is it cold?"),), tools=(TOOL,), tool_choice=choice)
    assert routed_text(request) == f"{CALLING}\n\nIs it cold?"
    assert request.text() == "Is it cold?"


def test_a_result_that_was_called_for_is_to_be_told():
    turns = (Message("user", "Is it cold?"), Message("assistant", ""), Message("tool", "4 degrees"))
    assert routed_text(Request(turns, tools=(TOOL,), tool_choice="auto")) == "Is it cold?"


def test_a_request_that_may_not_call_is_as_any_other():
    request = Request((Message("user", "Is it cold?"),), tools=(TOOL,), tool_choice="none")
    assert routed_text(request) == "Is it cold?"
    assert routed_text(Request((Message("user", "Is it cold?"),))) == "Is it cold?"


def test_a_table_has_what_the_request_was_routed_by():
    def example(name: str, tools: tuple[dict[str, object], ...]) -> Example:
        return Example(
            id=name,
            task="t",
            prompt="Is it cold?",
            expected="",
            rule="calls",
            choices=(),
            max_tokens=8,
            split="fit",
            question="Is it cold?",
            asking=Asking(tools=tools),
        )

    table = table_of_outcomes(["m"], [example("a", ()), example("b", (TOOL,))], {}, keep_answers=False)
    request = Request((Message("user", "Is it cold?"),), tools=(TOOL,))
    assert table.prompts == ("Is it cold?", routed_text(request))
    assert [plain_text(each) for each in table.prompts] == ["Is it cold?"] * 2
    assert [tells_of_functions(each) for each in table.prompts] == [False, True]
