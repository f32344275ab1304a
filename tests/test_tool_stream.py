"""What a model writes, as content and calls, however it is cut into pieces."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.completion import Delta
from pinnace.models.tool_calls import ToolCall, gather_calls
from pinnace.models.tool_stream import ToolStreams
from pinnace.models.tool_turns import AFTER_NAME, BETWEEN_CALLS, CLOSING, OPENING

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CALLS = st.lists(
    st.tuples(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.dictionaries(st.text(), JSON))
)


def written(calls: list[tuple[str, Any]]) -> str:
    return BETWEEN_CALLS.join(
        f"{OPENING}{name}{AFTER_NAME}{json.dumps(arguments, ensure_ascii=False)}{CLOSING}"
        for name, arguments in calls
    )


def read(text: str, cuts: list[int], finish: str = "stop") -> list[Delta]:
    streams = ToolStreams()
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    return [streams.unpacked(Delta(piece)) for piece in pieces] + [
        streams.unpacked(Delta(finish_reason=finish))  # type: ignore[arg-type]
    ]


def told(deltas: list[Delta]) -> tuple[str, tuple[ToolCall, ...], str | None]:
    calls = gather_calls(piece for delta in deltas for piece in delta.tool_calls)
    return "".join(delta.text for delta in deltas), calls, deltas[-1].finish_reason


@given(CALLS.filter(bool), st.lists(st.integers(0, 10_000), max_size=30))
def test_calls_come_out_as_they_were_written(calls: list[tuple[str, Any]], cuts: list[int]) -> None:
    deltas = read(written(calls), cuts)
    text, found, finish = told(deltas)
    assert (text, finish) == ("", "tool_calls")
    assert [(call.name, json.loads(call.arguments)) for call in found] == calls
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    ids = [piece["id"] for piece in pieces if "id" in piece]
    assert len(set(ids)) == len(calls)
    assert all(each.startswith("call_") for each in ids)


@given(st.text().filter(lambda text: OPENING not in text), st.lists(st.integers(0, 10_000), max_size=30))
def test_text_comes_out_as_it_was_written(text: str, cuts: list[int]) -> None:
    assert told(read(text, cuts)) == (text, (), "stop")


@pytest.mark.parametrize("text", ["<", "<tool_call", "<tool_call>\n{", "<table>", "{}"])
def test_what_only_begins_like_a_call_is_text_in_the_end(text: str) -> None:
    assert told(read(text, [], "length")) == (text, (), "length")


def test_text_is_not_held_back() -> None:
    streams = ToolStreams()
    assert streams.unpacked(Delta("Hel")).text == "Hel"
    assert streams.unpacked(Delta("lo <tool")).text == "lo <tool"


def test_the_name_comes_first_and_arguments_as_they_are_written() -> None:
    streams = ToolStreams()
    first = streams.unpacked(Delta(f"{OPENING}add{AFTER_NAME}"))
    (opening,) = first.tool_calls
    assert opening["index"] == 0
    assert opening["type"] == "function"
    assert opening["function"] == {"name": "add", "arguments": ""}
    assert streams.unpacked(Delta('{"a"')).tool_calls == [{"index": 0, "function": {"arguments": '{"a"'}}]
    assert streams.unpacked(Delta(": 1}")).tool_calls == [{"index": 0, "function": {"arguments": ": 1}"}}]


def test_a_call_that_was_cut_is_no_end_of_calls() -> None:
    cut = written([("add", {"a": 1})])[:-3]
    assert told(read(cut, []))[2] == "stop"
    assert told(read(cut, [], "length"))[2] == "length"


def test_choices_do_not_mix() -> None:
    streams = ToolStreams()
    streams.unpacked(Delta(f"{OPENING}add{AFTER_NAME}", index=0))
    assert streams.unpacked(Delta("Hello", index=1)).text == "Hello"
    assert streams.unpacked(Delta(finish_reason="stop", index=1)).finish_reason == "stop"
