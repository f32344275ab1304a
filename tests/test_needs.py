"""Hard needs: what strikes a model out."""

from dataclasses import replace

import pytest
from server_fixtures import member

from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Message, Request
from pinnace.router.needs import prompt_tokens, why_struck_out

TOOL = {"type": "function", "function": {"name": "look_up"}}
SHORT = Request((Message("user", "hello"),))


def card(**fields: object) -> ModelCard:
    plain = card_of(member("small", {"answer": "x"}), backend="scripted")
    return replace(plain, **fields)


def request(**fields: object) -> Request:
    return replace(SHORT, **fields)


@pytest.mark.parametrize(
    ("asked", "able", "why"),
    [
        (SHORT, card(), None),
        (request(tools=(TOOL,)), card(), "cannot call tools"),
        (request(tools=(TOOL,)), card(tools=True), None),
        (request(tools=(TOOL,), tool_choice="none"), card(), None),
        (request(response_format={"type": "json_schema"}), card(), "cannot be held to a JSON schema"),
        (request(response_format={"type": "json_object"}), card(), "cannot be held to a JSON schema"),
        (request(response_format={"type": "json_object"}), card(json_schema=True), None),
        (request(response_format={"type": "text"}), card(), None),
    ],
)
def test_what_a_request_cannot_do_without(asked: Request, able: ModelCard, why: str | None) -> None:
    assert why_struck_out(able, asked) == why


def test_a_prompt_that_is_surely_too_long_strikes_out() -> None:
    long = request(messages=(Message("user", "word " * 2000),))
    guess = prompt_tokens(long) // 2
    assert why_struck_out(card(context_window=guess), long) is None
    assert (
        why_struck_out(card(context_window=guess - 1), long)
        == f"the prompt has over {guess} tokens, its context window is {guess - 1}"
    )
    assert why_struck_out(card(context_window=None), long) is None


def test_a_token_is_guessed_at_four_characters_and_a_turn_at_four_tokens() -> None:
    assert prompt_tokens(Request((Message("system", "x" * 8), Message("user", "y" * 5)))) == 3 + 8


def test_tools_and_schemas_are_part_of_the_prompt() -> None:
    wide = request(tools=({"type": "function", "function": {"name": "x", "description": "y" * 4000}},))
    assert prompt_tokens(wide) > prompt_tokens(SHORT) + 1000
    assert prompt_tokens(request(response_format={"type": "json_object"})) > prompt_tokens(SHORT)
