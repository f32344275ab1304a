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
