"""Drafts: how much is held back, and what evidence is in it."""

import asyncio

import pytest
from router_fixtures import ASKED, ToldBackend, scripted, token

from pinnace.errors import BackendError
from pinnace.models.completion import Delta, FinishReason, Request, Usage
from pinnace.router.draft import Draft
from pinnace.router.evidence import evidence_of


def said(text: str, index: int = 0, finish: FinishReason | None = None) -> Delta:
    return Delta(text, index, (token(text),), finish)


def draft_of(*deltas: Delta, n: int = 1) -> Draft:
    return Draft(ToldBackend("small", *deltas), Request(ASKED.messages, n=n))


async def test_so_many_tokens_are_held_and_all_is_passed_on_in_order() -> None:
    backend = scripted("small", "one two three four five")
    draft = Draft(backend, ASKED)
    await draft.hold(3)
    assert (draft.usage, backend.running) == (Usage(6, 3), 1)
    assert "".join([delta.text async for delta in draft]) == "one two three four five"
    assert (draft.usage, backend.running, draft.is_whole) == (Usage(6, 5), 0, True)


async def test_nothing_is_read_before_it_is_held() -> None:
    backend = scripted("small", "one two")
    draft = Draft(backend, ASKED)
    assert backend.requests == []
    await draft.aclose()
    assert (backend.requests, draft.usage, draft.cost()) == ([], Usage(), 0)


async def test_a_draft_that_was_closed_costs_what_it_had_spent() -> None:
    backend = scripted("small", "one two three four five", price=2)
    draft = Draft(backend, ASKED)
    await draft.hold(2)
    await draft.aclose()
    assert (backend.running, backend.aborted) == (0, 1)
    assert draft.cost() == pytest.approx(2 * 8 / 1e6)


async def test_a_short_answer_is_read_to_the_end_of_its_stream() -> None:
    draft = draft_of(said("Yes"), Delta(finish_reason="stop"), Delta(usage=Usage(3, 1)))
    await draft.hold(2)
    assert (draft.is_whole, draft.usage) == (True, Usage(3, 1))


async def test_a_delta_of_several_tokens_counts_as_so_many() -> None:
    many = Delta("one two three", logprobs=(token("one "), token("two "), token("three")))
    draft = draft_of(many, said("four"), said("five", finish="stop"))
    await draft.hold(3)
    assert draft.evidence() == (evidence_of(many.logprobs, None),)


async def test_deltas_that_say_nothing_do_not_count() -> None:
    draft = draft_of(Delta(), Delta(usage=Usage(3, 0)), said("one"), said("two"), said("three"))
    await draft.hold(2)
    assert draft.evidence() == (evidence_of([token("one"), token("two")], None),)


async def test_pieces_of_tool_calls_count() -> None:
    call = Delta(tool_calls=({"index": 0, "function": {"arguments": "{"}},))
    draft = draft_of(call, call, Delta(finish_reason="tool_calls"))
    await draft.hold(2)
    assert not draft.is_whole
    assert len([delta async for delta in draft]) == 3


async def test_every_choice_is_held_to_the_same_window() -> None:
    deltas = [said(word, index) for word in "abc" for index in (0, 1)]
    draft = draft_of(*deltas, said("!", 0, "stop"), said("!", 1, "stop"), n=2)
    await draft.hold(2)
    assert draft.evidence() == (evidence_of([token("a"), token("b")], None),) * 2


async def test_a_long_finished_choice_beside_an_unfinished_one_is_judged_by_its_window() -> None:
    first = [said(word) for word in "abcd"]
    draft = draft_of(*first, said("!", 0, "stop"), said("x", 1), said("y", 1), said("z", 1), n=2)
    await draft.hold(2)
    expected = (evidence_of([token("a"), token("b")], None), evidence_of([token("x"), token("y")], None))
    assert draft.evidence() == expected


async def test_a_short_finished_choice_beside_an_unfinished_one_keeps_its_ending() -> None:
    draft = draft_of(said("a", 0, "stop"), said("x", 1), said("y", 1), said("z", 1), n=2)
    await draft.hold(2)
    expected = (evidence_of([token("a")], "stop"), evidence_of([token("x"), token("y")], None))
    assert draft.evidence() == expected


async def test_a_whole_answer_is_judged_by_all_of_it() -> None:
    draft = draft_of(said("a"), said("b"), said("c", finish="length"))
    await draft.hold(None)
    assert draft.evidence() == (evidence_of([token("a"), token("b"), token("c")], "length"),)


async def test_without_log_probabilities_there_is_no_evidence() -> None:
    draft = draft_of(Delta("a"), Delta("b", finish_reason="stop"))
    await draft.hold(None)
    assert draft.evidence() == ()


@pytest.mark.parametrize("hold_tokens", [None, 1])
async def test_a_stream_that_ends_unfinished_is_a_failure(hold_tokens: int | None) -> None:
    draft = draft_of(said("a"), said("b", 1, "stop"), n=2)
    with pytest.raises(BackendError, match="small: broke off with 1 of 2 choices finished"):
        await read_all(draft, hold_tokens)


async def read_all(draft: Draft, hold_tokens: int | None) -> None:
    await draft.hold(hold_tokens)
    async for _ in draft:
        pass


async def test_a_draft_that_was_started_runs_before_it_is_read() -> None:
    backend = scripted("small", "one two three")
    draft = Draft(backend, ASKED)
    draft.start()
    await asyncio.sleep(0.01)
    assert (backend.running, draft.usage) == (1, Usage())
    await draft.hold(None)
    assert "".join([delta.text async for delta in draft]) == "one two three"
    assert len(backend.requests) == 1


async def test_a_draft_that_was_started_in_vain_is_aborted() -> None:
    backend = scripted("small", "one two three", first_token_s=60)
    draft = Draft(backend, ASKED)
    draft.start()
    await asyncio.sleep(0.01)
    await draft.aclose()
    await draft.aclose()
    assert (backend.running, backend.aborted) == (0, 1)


async def test_a_start_that_failed_is_heard_of_when_it_is_read() -> None:
    draft = Draft(scripted("small", "one", fault="refuse"), ASKED)
    draft.start()
    await asyncio.sleep(0.01)
    with pytest.raises(BackendError, match="scripted refusal"):
        await draft.hold(None)
    await draft.aclose()


async def test_choices_that_say_the_same_are_evidence_once_all_are_whole() -> None:
    said_so = [said("It is 4.", 0), said("4", 1), said("five", 2)]
    draft = draft_of(*said_so, *(Delta(index=i, finish_reason="stop") for i in range(3)), n=3)
    await draft.hold(None)
    assert [each.agreement for each in draft.evidence()] == pytest.approx([2 / 3, 2 / 3, 1 / 3])


async def test_half_done_choices_are_not_compared() -> None:
    draft = draft_of(said("one ", 0), said("two ", 1), said("three", 0), said("four", 1), n=2)
    await draft.hold(1)
    assert [each.agreement for each in draft.evidence()] == [1.0, 1.0]


@pytest.mark.parametrize(("text", "valid"), [('{"a": 1}', 1.0), ("a is 1", 0.0)])
async def test_an_answer_that_breaks_the_format_asked_for_is_not_valid(text: str, valid: float) -> None:
    request = Request(ASKED.messages, response_format={"type": "json_object"})
    draft = Draft(ToldBackend("small", said(text, finish="stop")), request)
    await draft.hold(None)
    assert [each.valid for each in draft.evidence()] == [valid]


async def test_the_features_of_a_whole_draft_are_those_of_all_of_it_and_of_what_was_held() -> None:
    draft = draft_of(said("one"), said("two"), said("three", finish="stop"))
    await draft.hold(2)
    tokens = [token(text) for text in ("one", "two", "three")]
    prefix, whole = evidence_of(tokens[:2], None), evidence_of(tokens, "stop")
    assert prefix is not None
    assert whole is not None
    assert draft.features() == {"prefix": prefix.as_dict()}
    assert (draft.text(), draft.is_whole) == ("onetwo", False)
    assert len([delta async for delta in draft]) == 3
    assert draft.features() == {"prefix": prefix.as_dict(), "whole": whole.as_dict()}
    assert draft.text() == "onetwothree"


async def test_a_draft_has_the_features_and_the_text_of_its_first_choice() -> None:
    draft = draft_of(said("b", 1, "stop"), said("a", 0, "stop"), n=2)
    await draft.hold(None)
    found = evidence_of([token("a")], "stop", agreement=0.5)
    assert found is not None
    assert (draft.text(), draft.features()) == ("a", {"whole": found.as_dict()})


async def test_a_draft_without_log_probabilities_has_no_features() -> None:
    draft = draft_of(Delta("Yes", finish_reason="stop"))
    await draft.hold(None)
    assert (draft.features(), draft.text()) == ({}, "Yes")
