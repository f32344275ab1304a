"""Tools and schemas on the real SmolLM2-135M: every answer is a valid answer or a valid call."""

import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pinnace.config import VllmMember, Votes, load_config
from pinnace.errors import RequestError
from pinnace.models.completion import Delta, Message, Request
from pinnace.models.tool_calls import gather_calls
from pinnace.models.vllm_backend import VllmBackend
from pinnace.models.voted import VotedBackend
from pinnace.router.validity import is_valid

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[1]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city", "unit"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
REPLY = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "confidence": {"type": "number"},
        "sources": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answer", "confidence", "sources"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": REPLY}}
QUESTIONS = ("What is the weather in Oslo?", "What is the capital of France?")
BOTH = Request(
    (Message("user", QUESTIONS[0]),),
    max_tokens=256,
    temperature=0.7,
    top_logprobs=2,
    tools=(WEATHER, TIME),
    response_format=FORMAT,
)


@pytest.fixture(scope="module")
async def backend() -> AsyncGenerator[VllmBackend, None]:
    member = load_config(ROOT / "router.yaml", {}).fleet[0]
    assert isinstance(member, VllmMember)
    started = VllmBackend(member)
    await started.start()
    yield started
    await started.drain()


async def read(backend: VllmBackend, request: Request) -> list[list[Delta]]:
    """The deltas of each choice."""
    choices: list[list[Delta]] = [[] for _ in range(request.n)]
    async for delta in backend.stream(request):
        choices[delta.index].append(delta)
    return choices


def told(deltas: list[Delta]) -> tuple[str, Any, str | None]:
    """Text, calls and finish reason."""
    text = "".join(delta.text for delta in deltas)
    return text, gather_calls(p for d in deltas for p in d.tool_calls), deltas[-1].finish_reason


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_hundred_of_a_hundred_tries_with_tools_and_a_schema_are_valid(backend, question):
    asked = replace(BOTH, messages=(Message("user", question),), n=50, seed=len(question))
    kinds: Counter[str] = Counter()
    for deltas in await read(backend, asked):
        text, calls, finish = told(deltas)
        assert is_valid(text, calls, asked), (text, calls, finish)
        assert finish == ("tool_calls" if calls else "stop")
        assert not (text and calls)
        assert all(delta.logprobs for delta in deltas if delta.text or delta.tool_calls)
        kinds["call" if calls else "answer"] += 1
    print(question, dict(kinds))
    assert kinds.total() == 50


async def test_an_answer_that_max_tokens_cuts_says_length(backend):
    cut = replace(BOTH, max_tokens=6, n=8, seed=1)
    for deltas in await read(backend, cut):
        text, calls, finish = told(deltas)
        assert finish == "length"
        assert not is_valid(text, calls, cut)


async def test_free_text_stays_text_and_a_forced_call_is_a_call(backend):
    free = replace(BOTH, response_format=None, n=8, seed=2, max_tokens=128)
    for deltas in await read(backend, free):
        text, calls, finish = told(deltas)
        assert "<tool_call>" not in text
        assert is_valid(text, calls, free) or finish == "length"
    named = {"type": "function", "function": {"name": "get_time"}}
    for asked, names in (
        (replace(free, tool_choice="required"), {"get_weather", "get_time"}),
        (replace(free, tool_choice=named, parallel_tool_calls=False), {"get_time"}),
    ):
        for deltas in await read(backend, asked):
            text, calls, finish = told(deltas)
            assert (text, finish) == ("", "tool_calls")
            assert {call.name for call in calls} <= names
            assert is_valid(text, calls, asked)


async def test_a_vote_is_one_of_its_samples_and_the_same_one_each_time(backend):
    voting = VotedBackend(backend, Votes(samples=5, temperature=0.8))
    asked = replace(
        BOTH, tool_choice="required", parallel_tool_calls=False, response_format=None, temperature=None
    )
    first, second = [await read(voting, asked) for _ in range(2)]  # type: ignore[arg-type]
    assert told(first[0]) == told(second[0])
    text, calls, finish = told(first[0])
    assert is_valid(text, calls, asked)
    assert finish == "tool_calls"
    drawn = replace(asked, n=5, temperature=0.8, seed=0)
    samples = [told(deltas)[1] for deltas in await read(backend, drawn)]
    assert samples.count(calls) == max(map(samples.count, samples))
    assert first[0][-1].agreement == samples.count(calls) / 5
    usages = [delta.usage for delta in first[0] if delta.usage is not None]
    assert usages[-1].completion_tokens > max(len(delta.logprobs) for delta in first[0])


async def test_any_json_object_comes_to_an_end(backend):
    asked = replace(BOTH, tools=(), response_format={"type": "json_object"}, n=16, seed=3, max_tokens=512)
    outcomes = Counter(finish for *_, finish in map(told, await read(backend, asked)))
    print(outcomes)
    assert outcomes["stop"] >= 12


async def test_what_cannot_be_compiled_is_refused_by_name_and_the_engine_lives(backend):
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=a)b"}}}
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(RequestError, match="look-around") as refused:
        await read(backend, replace(BOTH, response_format=bad))
    assert refused.value.param == "response_format"
    with pytest.raises(RequestError, match="vocab") as refused:
        await read(backend, replace(BOTH, response_format=None, tools=(), logit_bias={49152: 1.0}))
    assert refused.value.param == "logit_bias"
    slow = {"type": "string", "pattern": ".*a.{200}"}
    hostile = {"type": "json_schema", "json_schema": {"name": "x", "schema": slow}}
    await read(backend, replace(BOTH, tools=(), response_format=hostile, max_tokens=32))
    assert told((await read(backend, replace(BOTH, seed=4)))[0])[2] is not None


async def test_a_seeded_prompt_that_is_read_in_pieces_ends_no_engine(backend):
    plain = Request((Message("user", QUESTIONS[1]),), max_tokens=12, temperature=0.9, seed=5)
    alone = told((await read(backend, plain))[0])[0]
    words = replace(plain, messages=(Message("user", "word " * 6000),))
    assert told((await read(backend, words))[0])[2] in ("stop", "length")
    assert told((await read(backend, plain))[0])[0] == alone


async def test_several_answers_at_temperature_0_are_several_answers(backend):
    plain = replace(BOTH, tools=(), response_format=None, max_tokens=8, temperature=0.0)
    (alone,) = await read(backend, plain)
    several = await read(backend, replace(plain, n=3))
    assert [told(each)[0] for each in several] == [told(alone)[0]] * 3


async def test_a_bias_of_a_hundred_decides_the_token(backend):
    plain = replace(BOTH, tools=(), response_format=None, max_tokens=4, temperature=0.0)
    biased = replace(plain, logit_bias={28: 100.0})
    assert told((await read(backend, plain))[0])[0] != told((await read(backend, biased))[0])[0]


async def test_a_tools_result_is_read(backend):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
    }
    turns = (
        Message("user", QUESTIONS[0]),
        Message("assistant", "", {"tool_calls": [call]}),
        Message("tool", json.dumps({"weather": "snow"}), {"tool_call_id": "call_1"}),
    )
    asked = replace(BOTH, messages=turns, response_format=None, temperature=0.0, tool_choice="none")
    assert "snow" in told((await read(backend, asked))[0])[0]
