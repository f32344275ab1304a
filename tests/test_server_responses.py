"""Responses through the openai client: items in, items out, the sequence of events, and what is refused."""

import json
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from server_fixtures import ASK, ASK_HARD, House, house, member
from test_server_errors import error_of
from test_sse import ANSWERED
from told_house import Told, called, ended, told_house

from pinnace.models.completion import Delta
from pinnace.server.responses_answer import ResponseObject, WholeResponse
from pinnace.server.responses_stream import ResponseEvents
from pinnace.server.responses_wire import ResponsesRequest

PATH = "/v1/responses"
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "add",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}


async def respond(place: House, **fields: Any) -> Response:
    async with place.client() as client:
        return await client.responses.create(**{"model": "auto", "input": "Which capital?", **fields})


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each under its own name and number."""
    found: list[dict[str, Any]] = []
    for block in response.text.strip().split("\n\n"):
        name, _, data = block.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == len(found)
        found.append(event)
    return found


async def test_a_string_is_answered_with_a_message() -> None:
    async with house() as place:
        answer = await respond(place, instructions="Be brief.", metadata={"k": "v"}, user="u", top_p=0.5)
        (asked,) = place.backend("small").requests
    assert (answer.object, answer.status, answer.model) == ("response", "completed", "small")
    assert answer.id.startswith("resp_")
    assert answer.output_text == "The capital of France is Paris."
    assert (answer.instructions, answer.metadata, answer.user) == ("Be brief.", {"k": "v"}, "u")
    assert (answer.top_p, answer.incomplete_details, answer.error) == (0.5, None, None)
    assert answer.model_dump()["store"] is False
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (4, 6, 10)
    assert answer.model_dump()["pinnace"]["route"] == "small"
    assert [(m.role, m.content) for m in asked.messages] == [
        ("system", "Be brief."),
        ("user", "Which capital?"),
    ]
    assert place.rows[0].request_id == answer.id


async def test_it_is_routed_like_a_chat_and_says_so_in_headers() -> None:
    async with house() as place, place.client() as client:
        raw = await client.responses.with_raw_response.create(model="auto", input=ASK_HARD)  # type: ignore[arg-type]
        chat = await client.chat.completions.create(model="auto", messages=ASK)  # type: ignore[arg-type]
    assert raw.headers["x-pinnace-route"] == "small>large"
    assert raw.parse().output_text == "It is 42."
    assert chat.model == "small"


async def test_items_become_the_turns_of_a_chat() -> None:
    items = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}],
        },
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Wait.", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "add", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "3"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "4"}]},
    ]
    backend = Told(Delta("x"), ended())
    async with told_house(backend) as place:
        await respond(place, input=items, tools=[TOOL])
    (asked,) = backend.requests
    assert [(m.role, m.content) for m in asked.messages] == [
        ("user", "one\ntwo"),
        ("assistant", "Wait."),
        ("tool", "3"),
        ("tool", "4"),
    ]
    calls = asked.messages[1].extra["tool_calls"]
    assert [(c["id"], c["function"]["arguments"]) for c in calls] == [("c1", "{}"), ("c2", '{"a": 1}')]
    assert asked.messages[2].extra == {"tool_call_id": "c1"}
    assert asked.tools == ({"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}},)


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ("required", "required"),
        ("none", "none"),
        ({"type": "function", "name": "add"}, {"type": "function", "function": {"name": "add"}}),
    ],
)
async def test_the_choice_of_a_tool_and_the_format_are_those_of_a_chat(sent: Any, asked: Any) -> None:
    backend = Told(*called(0, "add", '{"a": 1}'), ended("tool_calls"))
    form = {"type": "json_schema", "name": "out", "schema": {"type": "object"}, "strict": True}
    async with told_house(backend) as place:
        await respond(place, tools=[TOOL], tool_choice=sent, text={"format": form}, max_output_tokens=77)
    (got,) = backend.requests
    assert got.tool_choice == asked
    assert got.max_tokens == 77
    inner = {"name": "out", "schema": {"type": "object"}, "strict": True}
    assert got.response_format == {"type": "json_schema", "json_schema": inner}


async def test_calls_are_items_and_their_outputs_close_the_circle() -> None:
    backend = Told(
        Delta("Let me see."), *called(0, "add", '{"a"', ": 1}"), *called(1, "add", "{}"), ended("tool_calls")
    )
    async with told_house(backend) as place:
        first = await respond(place, tools=[TOOL])
        assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
        calls = [item for item in first.output if item.type == "function_call"]
        assert [(c.name, c.arguments, c.call_id, c.status) for c in calls] == [
            ("add", '{"a": 1}', "call_0", "completed"),
            ("add", "{}", "call_1", "completed"),
        ]
        outputs = [{"type": "function_call_output", "call_id": c.call_id, "output": "7"} for c in calls]
        carried = [item.model_dump(exclude_none=True) for item in first.output]
        second = await respond(
            place, input=[{"role": "user", "content": "x"}, *carried, *outputs], tools=[TOOL]
        )
    assert second.output_text == "It is 7."


async def test_a_stream_is_the_standard_sequence() -> None:
    async with house() as place, place.http() as http:
        response = await http.post(PATH, json={"model": "auto", "input": "capital", "stream": True})
    assert "[DONE]" not in response.text
    events = events_of(response)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 6,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    text = "".join(event["delta"] for event in events[4:10])
    last = events[-1]["response"]
    assert text == events[10]["text"] == last["output"][0]["content"][0]["text"]
    assert len({event["item_id"] for event in events[3:12]}) == 1
    assert events[12]["item"] == last["output"][0]
    assert (events[0]["response"]["status"], last["status"]) == ("in_progress", "completed")
    assert last["usage"]["output_tokens"] == 6
    assert last["pinnace"]["model"] == "small"


async def test_a_streamed_call_grows_by_its_arguments() -> None:
    backend = Told(Delta("Wait."), *called(0, "add", '{"a"', ": 1}"), ended("tool_calls"))
    async with told_house(backend) as place, place.http() as http:
        body = {"model": "auto", "input": "x", "tools": [TOOL], "stream": True}
        events = events_of(await http.post(PATH, json=body))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[2:] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[8]["item"]["name"] == "add"
    assert events[8]["item"]["arguments"] == ""
    assert events[11]["arguments"] == '{"a": 1}'
    assert [event["output_index"] for event in events[2:-1]] == [0] * 6 + [1] * 5


async def test_the_openai_clients_stream_helper_puts_it_together() -> None:
    async with (
        house() as place,
        place.client() as client,
        client.responses.stream(model="auto", input="capital") as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds.count("response.output_text.delta") == 6
    assert final.output_text == "The capital of France is Paris."


async def test_an_answer_that_was_cut_is_incomplete() -> None:
    async with house() as place, place.http() as http:
        body = {"model": "auto", "input": "capital", "max_output_tokens": 2}
        whole = (await http.post(PATH, json=body)).json()
        events = events_of(await http.post(PATH, json={**body, "stream": True}))
    for response in (whole, events[-1]["response"]):
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["output"][0]["status"] == "incomplete"
    assert events[-1]["type"] == "response.incomplete"


async def test_a_stream_that_breaks_off_ends_with_one_error() -> None:
    broken = member("only", {"answer": "one two three four five", "fault": "cut", "fault_after": 4})
    async with house(broken) as place:
        async with place.http() as http:
            body = {"model": "auto", "input": "x", "stream": True}
            events = events_of(await http.post(PATH, json=body))
        assert events[-1]["type"] == "error"
        assert events[-1]["code"] == "backend_unavailable"
        assert [event["type"] for event in events].count("error") == 1
        with pytest.raises(openai.APIError, match="scripted cut"):
            async for _ in await respond(place, stream=True):
                pass


async def test_logprobs_are_shown_where_they_are_included() -> None:
    async with house() as place, place.http() as http:
        include = ["message.output_text.logprobs"]
        body = {"model": "auto", "input": "capital", "include": include, "top_logprobs": 1}
        whole = (await http.post(PATH, json=body)).json()
        events = events_of(await http.post(PATH, json={**body, "stream": True}))
    found = whole["output"][0]["content"][0]["logprobs"]
    assert [token["token"] for token in found] == ["The ", "capital ", "of ", "France ", "is ", "Paris."]
    assert [len(token["top_logprobs"]) for token in found] == [1] * 6
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [token for event in deltas for token in event["logprobs"]] == found


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"store": True}, "store", "unsupported_parameter", "keeps no responses: leave it out or send false"),
    ({"background": True}, "background", "unsupported_parameter", "keeps no responses"),
    (
        {"previous_response_id": "resp_1"},
        "previous_response_id",
        "unsupported_parameter",
        "send the whole conv",
    ),
    ({"conversation": "c"}, "conversation", "unsupported_parameter", "send the whole conversation"),
    (
        {"tools": [{"type": "web_search"}]},
        "tools[0]",
        "unsupported_parameter",
        "web_search tools are not supported",
    ),
    (
        {"tools": [{"type": "mcp", "server_url": "x"}]},
        "tools[0]",
        "unsupported_parameter",
        "mcp tools are not",
    ),
    (
        {"input": [{"type": "reasoning", "summary": []}]},
        "input[0].type",
        "unsupported_parameter",
        "reasoning items",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        "input[0].content",
        "unsupported_parameter",
        "input_image parts are not supported, only text",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
        "input[0].content",
        "unsupported_parameter",
        "input_file parts",
    ),
    ({"input": [{"role": "user"}]}, "input[0]", "invalid_value", "expected message items to have content"),
    (
        {"input": [{"type": "function_call", "call_id": "c"}]},
        "input[0]",
        "invalid_value",
        "items to have name",
    ),
    (
        {"input": [{"role": "user", "content": "x", "output": "y"}]},
        "input[0]",
        "invalid_value",
        "to have no output",
    ),
    ({"input": [7]}, "input[0]", "invalid_value", "got 7"),
    ({"input": []}, "input", "invalid_value", "expected a length of at least 1"),
    ({"input": 7}, "input", "invalid_value", "got 7"),
    ({"input": [{"role": "user", "content": "x"}] * 257}, "input", "invalid_value", "at most 256, got 257"),
    (
        {"include": ["file_search_call.results"]},
        "include",
        "unsupported_parameter",
        "'file_search_call.results'",
    ),
    ({"reasoning": {"effort": "low"}}, "reasoning", "unsupported_parameter", "not supported"),
    ({"truncation": "auto"}, "truncation", "invalid_value", "'disabled'"),
    ({"top_logprobs": 2}, "top_logprobs", "invalid_value", "needs include to have"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value", "needs tools"),
    (
        {"tool_choice": {"type": "function", "name": "f"}},
        "tool_choice",
        "invalid_value",
        "names the function 'f'",
    ),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice", "invalid_value", "expected 'none', 'auto'"),
    (
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
        "text.format",
        "invalid_value",
        "name and schema",
    ),
    (
        {"text": {"format": {"type": "text", "strict": True}}},
        "text.format",
        "invalid_value",
        "and only with it",
    ),
    ({"max_output_tokens": 5000}, "max_output_tokens", "invalid_value", "expected at most 4096, got 5000"),
    ({"max_tokens": 5}, "max_tokens", "unknown_parameter", "did you mean"),
    ({"stream_options": {}}, "stream_options", "invalid_value", "needs stream to be true"),
]


@pytest.mark.parametrize(("fields", "param", "code", "said"), REFUSED)
async def test_what_is_wrong_is_refused_by_name(
    fields: dict[str, Any], param: str, code: str, said: str
) -> None:
    async with house() as place, place.http() as http:
        response = await http.post(PATH, json={"model": "auto", "input": "x", **fields})
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert said in str(error["message"])


ASKED = ResponsesRequest.model_validate_json('{"model": "auto", "input": "x"}')
PIECES = st.one_of(
    st.text(min_size=1, max_size=5).map(Delta),
    st.tuples(st.integers(0, 2), st.text(max_size=5)).map(
        lambda call: Delta(tool_calls=[{"index": call[0], "function": {"name": "f", "arguments": call[1]}}])
    ),
)


@given(st.lists(PIECES, max_size=12), st.sampled_from(["stop", "length", "tool_calls"]))
def test_any_deltas_make_up_the_same_items_streamed_and_whole(deltas: list[Delta], finish: str) -> None:
    whole = WholeResponse(ResponseObject(ASKED, "resp_1", 1))
    events = ResponseEvents(ResponseObject(ASKED, "resp_1", 1), "small")
    sent = events.opening()
    for delta in [*deltas, Delta(finish_reason=finish)]:
        whole.add(delta)
        sent += events.delta(delta)
    found = events_of(httpx.Response(200, content=sent + events.ending(ANSWERED)))
    last = found[-1]["response"]
    expected = json.loads(whole.body(ANSWERED))
    assert [bare(item) for item in last["output"]] == [bare(item) for item in expected["output"]]
    assert (last["status"], last["usage"]) == (expected["status"], expected["usage"])
    done = [e["item"] for e in found if e["type"] == "response.output_item.done"]
    assert sorted(done, key=lambda item: item["id"]) == sorted(last["output"], key=lambda item: item["id"])
    grown: dict[str, str] = {}
    for event in found:
        if event["type"].endswith(".delta"):
            grown[event["item_id"]] = grown.get(event["item_id"], "") + event["delta"]
    for item in last["output"]:
        written = item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
        assert grown.get(item["id"], "") == written


def bare(item: dict[str, Any]) -> dict[str, Any]:
    """An item without the names that were drawn for it."""
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}
