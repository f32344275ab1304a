"""Members that vote: what most samples say is the answer, and everything else passes as it is."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.config import Sampling, Votes, parse_config
from pinnace.errors import BackendError, ConfigError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Delta, Message, Request, TokenLogprob, Usage
from pinnace.models.fleet import Fleet, make_backend
from pinnace.models.gated import GatedBackend
from pinnace.models.recarded import engine_of
from pinnace.models.tool_calls import gather_calls
from pinnace.models.voted import VotedBackend, drawn_samples, elected, may_vote
from pinnace.router.draft import Draft

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
PLAIN = Request((Message("user", "What is 2 + 3?"),), max_tokens=32, top_logprobs=0)
CALLING = replace(PLAIN, tools=(TOOL,), tool_choice="auto")
CHOOSING = replace(PLAIN, response_format={"type": "choice", "choices": ["yes", "no"]})


class FakeSampler:
    """Says `samples` in turn, a word of each at a time, so that they come interleaved."""

    card = ModelCard("fake", "scripted", 0.0, 0.0, 1000, True, True, Sampling(), "fake")

    def __init__(self, *samples: Any, ends: Sequence[str | None] = (), breaks: bool = False) -> None:
        self.samples = samples
        self.ends = ends or ["stop"] * len(samples)
        self.breaks = breaks
        self.asked: list[Request] = []
        self.is_closed = False

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        self.asked.append(request)
        try:
            for at, delta in enumerate(self._deltas(request.n), start=1):
                yield replace(delta, usage=Usage(10, at))
            if self.breaks:
                raise BackendError("gone")
        finally:
            self.is_closed = True

    def _deltas(self, n: int) -> list[Delta]:
        said = [(index, sample) for index, sample in enumerate(self.samples[:n])]
        token = (TokenLogprob("x", log(0.5)),)
        firsts = [
            Delta(sample, index, token)
            if isinstance(sample, str)
            else Delta("", index, token, tool_calls=[{"index": 0, "id": f"call-{index}", "function": sample}])
            for index, sample in said
        ]
        return firsts + [Delta("", index, finish_reason=self.ends[index]) for index, _ in said]  # type: ignore[arg-type]


def call(arguments: str) -> dict[str, str]:
    return {"name": "add", "arguments": arguments}


async def answer_of(sampler: FakeSampler, request: Request, samples: int = 5) -> list[Delta]:
    backend = VotedBackend(sampler, Votes(samples=samples))
    return [delta async for delta in backend.stream(request)]


async def test_what_most_samples_say_is_the_answer() -> None:
    sampler = FakeSampler("no", "yes", "yes", "no", "yes")
    deltas = await answer_of(sampler, CHOOSING)
    assert "".join(delta.text for delta in deltas) == "yes"
    last = deltas[-1]
    assert (last.index, last.finish_reason, last.agreement) == (0, "stop", 0.6)
    assert [delta.usage for delta in deltas[:-1]] == [Usage(10, at) for at in range(1, 11)]
    (asked,) = sampler.asked
    assert (asked.n, asked.temperature, asked.seed, asked.max_tokens) == (5, 0.5, 0, 32)


async def test_calls_are_votes_however_their_json_is_written() -> None:
    sampler = FakeSampler(call('{"a": 2, "b": 2}'), call('{"a":2,"b":3}'), call('{"b": 3, "a": 2}'))
    *_, last = await answer_of(sampler, CALLING, samples=3)
    (made,) = gather_calls(last.tool_calls)
    assert (made.name, json.loads(made.arguments), last.agreement) == (
        "add",
        {"a": 2, "b": 3},
        pytest.approx(2 / 3),
    )
    assert last.tool_calls[0]["id"] == "call-1"


@pytest.mark.parametrize(
    "request_",
    [
        PLAIN,
        replace(CALLING, tool_choice="none"),
        replace(CHOOSING, n=2),
        replace(CALLING, temperature=0.7),
    ],
)
async def test_free_text_and_samples_pass_as_they_are(request_: Request) -> None:
    sampler = FakeSampler("yes", "no")
    deltas = await answer_of(sampler, request_)
    assert sampler.asked == [request_]
    assert [delta.text for delta in deltas if delta.text] == ["yes", "no"][: request_.n]
    assert all(delta.agreement is None for delta in deltas)


def test_what_is_voted_on() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert all(map(may_vote, (CALLING, CHOOSING, replace(PLAIN, response_format=schema))))
    assert may_vote(replace(PLAIN, response_format={"type": "json_object"}, temperature=0.0))
    assert not may_vote(PLAIN)


async def test_where_a_text_may_stand_it_is_the_one_answer_and_comes_as_it_is_written() -> None:
    sampler = FakeSampler("I cannot.", call("{}"), call("{}"))
    deltas = await answer_of(sampler, CALLING)
    assert sampler.asked == [CALLING]
    assert [(each.text, each.finish_reason, each.agreement) for each in deltas] == [
        ("I cannot.", None, None),
        ("", "stop", None),
    ]


async def test_an_answer_without_a_word_is_passed_on_too() -> None:
    sampler = FakeSampler("", ends=[None])
    deltas = await answer_of(sampler, CALLING)
    assert [each.usage for each in deltas] == [Usage(10, 1), Usage(10, 2)]


async def test_once_a_call_has_begun_texts_are_no_votes_and_what_began_is_charged() -> None:
    sampler = FakeSampler(call('{"a": 1}'), "I cannot.", "Sorry.", call('{"a": 2}'), call('{"a": 2}'))
    deltas = await answer_of(sampler, CALLING)
    *told, last = deltas
    (made,) = gather_calls(last.tool_calls)
    assert (json.loads(made.arguments), last.agreement) == ({"a": 2}, 0.4)
    assert [each.usage for each in told] == [Usage(10, 1), *(Usage(10, 1 + at) for at in range(1, 11))]
    begun, voted_on = sampler.asked
    assert (begun, voted_on.n, voted_on.tool_choice) == (CALLING, 5, "auto")


async def test_numbers_are_compared_as_numbers() -> None:
    samples = [call(f'{{"a": {number}}}') for number in ("6", "5", "5.0", "6", "5", "6.5", "5.00")]
    *_, last = await answer_of(FakeSampler(*samples), replace(CALLING, tool_choice="required"), samples=7)
    (made,) = gather_calls(last.tool_calls)
    assert (json.loads(made.arguments), last.agreement) == ({"a": 5}, pytest.approx(4 / 7))


@pytest.mark.parametrize(("said", "share"), [(call("{}"), 0.25), ("No.", 1.0)])
async def test_one_call_of_a_model_that_votes_elsewhere_is_sure_of_one_vote(said: Any, share: float) -> None:
    backend = VotedBackend(FakeSampler(said), Votes(samples=4))
    backend.card = replace(FakeSampler.card, votes=4)
    draft = Draft(backend, replace(CALLING, temperature=0.7))
    await draft.hold(None)
    (evidence,) = draft.evidence()
    assert evidence.agreement == share


def test_how_many_answers_are_drawn() -> None:
    assert [drawn_samples(8, each) for each in (PLAIN, CALLING, replace(CALLING, temperature=0.7))] == [
        1,
        8,
        1,
    ]
    assert drawn_samples(8, replace(CALLING, n=3)) == 3


async def test_choices_are_compared_by_the_letter_and_json_is_not() -> None:
    choosing = replace(PLAIN, response_format={"type": "choice", "choices": ["1.0", "1.00", "2"]})
    *_, last = await answer_of(FakeSampler("1.0", "2", "1.00", "2"), choosing, samples=4)
    assert (last.text, last.agreement) == ("2", 0.5)
    anything = replace(PLAIN, response_format={"type": "json_object"})
    *_, last = await answer_of(FakeSampler('{"a": 2}', '{"a":1}', '{"a": 1}'), anything, samples=3)
    assert (last.text, last.agreement) == ('{"a":1}', pytest.approx(2 / 3))


async def test_answers_that_were_cut_off_are_votes_only_among_themselves() -> None:
    ends = ["length", "length", "stop"]
    *_, last = await answer_of(FakeSampler("ye", "ye", "no", ends=ends), CHOOSING, samples=3)
    assert (last.text, last.finish_reason, last.agreement) == ("no", "stop", pytest.approx(1 / 3))
    *_, last = await answer_of(FakeSampler("ye", "n", "ye", ends=["length"] * 3), CHOOSING, samples=3)
    assert (last.text, last.finish_reason) == ("ye", "length")


def test_a_remote_member_does_not_vote() -> None:
    remote = {
        "name": "a",
        "backend": "openai",
        "base_url": "http://x/v1",
        "model": "m",
        "votes": {"samples": 4},
    }
    with pytest.raises(ConfigError, match="votes of local members alone"):
        parse_config({"fleet": [{**remote, "votes": {"samples": 4}}]}, {})


async def test_a_backend_that_gives_fewer_samples_is_taken_at_its_word() -> None:
    *_, last = await answer_of(FakeSampler("no"), CHOOSING)
    assert (last.text, last.agreement) == ("no", 1.0)


async def test_one_that_breaks_off_has_no_answer() -> None:
    with pytest.raises(BackendError, match="gone"):
        await answer_of(FakeSampler("no", "no", breaks=True), CHOOSING, samples=2)
    deltas = await answer_of(FakeSampler("no", "no", ends=[None, None]), CHOOSING, samples=2)
    assert all(delta.finish_reason is None for delta in deltas)


async def test_leaving_early_aborts_all_samples() -> None:
    sampler = FakeSampler("yes", "no")
    async with aclosing(VotedBackend(sampler, Votes(samples=2)).stream(CHOOSING)) as deltas:
        assert (await anext(deltas)).usage == Usage(10, 1)
    assert sampler.is_closed


async def test_a_draft_is_judged_by_its_votes_and_charged_for_all_of_them() -> None:
    draft = Draft(VotedBackend(FakeSampler("yes", "no", "yes", "yes"), Votes(samples=4)), CHOOSING)
    await draft.hold(None)
    (evidence,) = draft.evidence()
    assert (evidence.agreement, evidence.mean, draft.text()) == (0.75, pytest.approx(log(0.5)), "yes")
    assert draft.usage == Usage(10, 8)


async def test_the_seed_is_the_clients_where_it_gives_one() -> None:
    sampler = FakeSampler("yes", "yes")
    await answer_of(sampler, replace(CHOOSING, seed=7, temperature=0.0), samples=2)
    assert (sampler.asked[0].seed, sampler.asked[0].temperature) == (7, 0.5)


@given(st.lists(st.sampled_from(["yes", "no", "may be"]), min_size=1, max_size=9))
def test_the_winner_has_as_many_votes_as_any(texts: list[str]) -> None:
    won = elected([Delta(text, index, finish_reason="stop") for index, text in enumerate(texts)], CHOOSING)
    most = max(map(texts.count, texts))
    assert texts.count(won.text) == most
    assert won.agreement == most / len(texts)
    assert won.text == next(text for text in texts if texts.count(text) == most)


def section(**fields: Any) -> dict[str, Any]:
    return {"name": "a", "backend": "scripted", "script": [{"answer": "x"}], **fields}


def test_a_section_of_router_yaml_says_that_a_member_votes() -> None:
    config = parse_config({"fleet": [section(votes={"samples": 8}, max_running=2)]}, {})
    backend = make_backend(config.fleet[0])
    assert isinstance(backend, VotedBackend)
    assert isinstance(backend.inner, GatedBackend)
    assert not isinstance(make_backend(parse_config({"fleet": [section()]}, {}).fleet[0]), VotedBackend)


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        ({"samples": 1}, "samples"),
        ({"samples": 65}, "samples"),
        ({}, "samples"),
        ({"samples": 8, "temperature": 0}, "temperature"),
    ],
)
def test_votes_that_cannot_be_are_refused(votes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config({"fleet": [section(votes=votes)]}, {})


async def test_a_reload_changes_votes_and_keeps_the_engine() -> None:
    before = Fleet.from_config(parse_config({"fleet": [section()]}, {}))
    await before.start()
    after_config = parse_config({"fleet": [section(votes={"samples": 4})]}, {})
    after = Fleet.beside(before, ["a"], after_config, recarded=["a"])
    assert isinstance(after.backends["a"], VotedBackend)
    assert engine_of(after.backends["a"]) is engine_of(before.backends["a"])
