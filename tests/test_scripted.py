"""The scripted backend: what it says, counts and breaks."""

import asyncio
import math
from contextlib import aclosing

import pytest
from router_fixtures import ASKED, failure_of, scripted
from server_fixtures import member

from pinnace.errors import BackendUnavailableError
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.scripted import ScriptedBackend


async def deltas_of(backend: ScriptedBackend, request: Request = ASKED) -> list[Delta]:
    return [delta async for delta in backend.stream(request)]


async def test_it_says_its_answer_word_by_word_and_counts_as_it_goes() -> None:
    deltas = await deltas_of(scripted("small", "It is  Paris.", probability=0.8))
    assert [delta.text for delta in deltas] == ["It ", "is  ", "Paris.", ""]
    assert [delta.usage for delta in deltas] == [Usage(6, 1), Usage(6, 2), Usage(6, 3), Usage(6, 3)]
    assert [delta.finish_reason for delta in deltas] == [None, None, None, "stop"]
    (said,) = deltas[0].logprobs
    assert (said.token, said.logprob) == ("It ", math.log(0.8))
    assert said.top == (("It ", math.log(0.8)), ("…", pytest.approx(math.log(0.2))))


async def test_the_likeliest_comes_first_even_where_it_was_not_chosen() -> None:
    deltas = await deltas_of(scripted("small", "Hm", probability=0.2))
    assert [text for text, _ in deltas[0].logprobs[0].top] == ["…", "Hm"]


async def test_the_first_line_whose_words_are_in_the_prompt_answers() -> None:
    script = (
        {"when": "France", "answer": "Paris"},
        {"when": "capital", "answer": "Which?"},
        {"answer": "No"},
    )
    backend = ScriptedBackend(member("small", *script))
    asked = ["capital of France", "the capital", "hello"]
    answers = [(await deltas_of(backend, Request((Message("user", text),))))[0].text for text in asked]
    assert answers == ["Paris", "Which?", "No"]
    assert [request.text() for request in backend.requests] == asked


async def test_a_prompt_without_a_line_is_refused_and_not_quoted() -> None:
    backend = ScriptedBackend(member("small", {"when": "rivers", "answer": "x"}))
    error = await failure_of(deltas_of(backend))
    assert isinstance(error, BackendUnavailableError)
    assert str(error) == "small: no line of the script answers this prompt"


async def test_an_answer_is_cut_at_max_tokens() -> None:
    deltas = await deltas_of(scripted("small", "one two three"), Request(ASKED.messages, max_tokens=2))
    assert ("".join(d.text for d in deltas), deltas[-1].finish_reason) == ("one two ", "length")


async def test_an_empty_answer_only_finishes() -> None:
    assert await deltas_of(scripted("small", "")) == [Delta(finish_reason="stop", usage=Usage(6, 0))]


async def test_every_choice_is_said_and_counted() -> None:
    deltas = await deltas_of(scripted("small", "one two"), Request(ASKED.messages, n=2))
    assert [delta.index for delta in deltas] == [0, 0, 0, 1, 1, 1]
    assert deltas[-1].usage == Usage(6, 4)


@pytest.mark.parametrize(("after", "words"), [(0, 0), (2, 2), (3, 3), (9, 3)])
async def test_a_cut_strikes_after_so_many_tokens_or_at_the_end(after: int, words: int) -> None:
    backend = scripted("small", "one two three", fault="cut", fault_after=after)
    said: list[Delta] = []

    async def read() -> None:
        async for delta in backend.stream(ASKED):
            said.append(delta)  # noqa: PERF401 - what was read before the cut counts

    error = await failure_of(read())
    assert str(error) == f"small: scripted cut after {after} tokens"
    assert len(said) == words
    assert (backend.running, backend.aborted) == (0, 0)


async def test_a_refusal_comes_before_the_first_token() -> None:
    error = await failure_of(deltas_of(scripted("small", "one", fault="refuse", fault_after=1)))
    assert str(error) == "small: scripted refusal"


@pytest.mark.parametrize("after", [0, 2, 9])
async def test_a_stall_lasts_until_it_is_cancelled(after: int) -> None:
    backend = scripted("small", "one two three", fault="stall", fault_after=after)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(deltas_of(backend), 0.02)
    assert (backend.running, backend.aborted) == (0, 1)


async def test_delays_are_kept() -> None:
    backend = scripted("small", "one two", first_token_s=0.02, token_s=0.01)
    began = asyncio.get_running_loop().time()
    await deltas_of(backend)
    assert asyncio.get_running_loop().time() - began >= 0.039


async def test_closing_early_is_an_abort_and_reading_to_the_end_is_none() -> None:
    backend = scripted("small", "one two three")
    await deltas_of(backend)
    assert backend.aborted == 0
    async with aclosing(backend.stream(ASKED)) as deltas:
        await anext(deltas)
        assert backend.running == 1
    assert (backend.running, backend.aborted) == (0, 1)
