"""Framing of events: whatever the text, a parser gets it back, one event for one frame."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.completion import Delta, Usage
from pinnace.router.answer import Answered, Attempt
from pinnace.server.chunks import Chunks
from pinnace.server.completion import Completion, to_json
from pinnace.server.sse import DONE, frame

ANSWERED = Answered(
    model="small",
    attempts=(Attempt("small", Usage(1, 2), 0.5, "accepted", "sure", 0.9),),
    confidence=0.9,
    escalated=False,
    why="sure",
    usage=Usage(1, 2),
    cost_usd=0.5,
)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def parse(stream: bytes) -> list[str]:
    """The data of every event in `stream`, by the rules of the HTML standard."""
    events: list[str] = []
    data: list[str] = []
    lines = stream.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines:
        if line == "" and data:
            events.append("\n".join(data))
            data = []
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
    assert data == [], "the stream ends inside an event"
    return events


@given(st.lists(TEXTS))
def test_any_text_comes_back_through_a_parser(texts: list[str]) -> None:
    stream = b"".join(frame(to_json({"text": text}).encode()) for text in texts) + DONE
    *events, last = parse(stream)
    assert [json.loads(event)["text"] for event in events] == texts
    assert last == "[DONE]"


@given(st.lists(st.tuples(st.integers(0, 2), TEXTS)), st.booleans())
def test_any_deltas_make_up_the_same_answer_streamed_and_whole(
    pieces: list[tuple[int, str]], with_usage: bool
) -> None:
    chunks = Chunks("id", 1, "small", top_logprobs=None, with_usage=with_usage, choices=3)
    whole = Completion("id", 1, choices=3, top_logprobs=None)
    deltas = [Delta(text, index) for index, text in pieces]
    deltas += [Delta(index=index, finish_reason="length") for index in range(3)]
    stream = chunks.opening()
    for delta in deltas:
        stream += chunks.delta(delta)
        whole.add(delta)
    *events, last = parse(stream + chunks.ending(ANSWERED))
    assert last == "[DONE]"
    streamed = ["", "", ""]
    finishes: list[int] = []
    for event in map(json.loads, events):
        for choice in event["choices"]:
            streamed[choice["index"]] += choice["delta"].get("content", "")
            finishes += [choice["index"]] * (choice["finish_reason"] == "length")
    choices = json.loads(whole.body(ANSWERED))["choices"]
    assert streamed == [choice["message"]["content"] for choice in choices]
    assert sorted(finishes) == [0, 1, 2]
    assert ["pinnace" in json.loads(event) for event in events] == [False] * (len(events) - 1) + [True]


def test_a_broken_line_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="one line"):
        frame(b"a\nb")


def test_tool_calls_are_streamed_as_they_come_and_gathered_in_the_whole() -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"a": 1}'}}
    deltas = [Delta(tool_calls=[first]), Delta(tool_calls=[rest]), Delta(finish_reason="tool_calls")]
    chunks = Chunks("id", 1, "small", top_logprobs=None, with_usage=False)
    whole = Completion("id", 1, choices=1, top_logprobs=None)
    stream = b""
    for delta in deltas:
        stream += chunks.delta(delta)
        whole.add(delta)
    events = [json.loads(event) for event in parse(stream)]
    assert [event["choices"][0]["delta"]["tool_calls"] for event in events] == [[first], [rest]]
    choice = json.loads(whole.body(ANSWERED))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]


def test_a_usage_only_delta_does_not_let_the_finish_go_early() -> None:
    for top_logprobs in (None, 2):
        chunks = Chunks("id", 1, "small", top_logprobs=top_logprobs, with_usage=False)
        assert chunks.delta(Delta(finish_reason="length")) == b""
        assert chunks.delta(Delta(usage=Usage(1, 2))) == b""
        events = parse(chunks.ending(ANSWERED))
        assert json.loads(events[0])["choices"][0]["finish_reason"] == "length"
