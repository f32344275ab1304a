"""Text completions through the openai client: prompts, choices, streams, log-probabilities, refusals."""

import json
from typing import Any

import openai
import pytest
from openai.types import Completion
from server_fixtures import House, house, member
from test_server_errors import error_of
from test_sse import parse

PATH = "/v1/completions"
PROMPT = "The capital of France"


async def complete(place: House, **fields: object) -> Completion:
    async with place.client() as client:
        return await client.completions.create(
            **{"model": "auto", "prompt": PROMPT, "max_tokens": 9, **fields}
        )


async def test_a_prompt_is_continued() -> None:
    async with house() as place:
        answer = await complete(place)
        (asked,) = place.backend("small").requests
    assert (answer.object, answer.model, answer.id[:5]) == ("text_completion", "small", "cmpl-")
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == (
        "The capital of France is Paris.",
        "stop",
        None,
    )
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 6)
    assert answer.model_dump()["pinnace"]["route"] == "small"
    assert asked.is_raw
    assert asked.text() == PROMPT
    assert place.rows[0].request_id == answer.id


async def test_every_field_reaches_the_backend() -> None:
    fields: dict[str, Any] = {"n": 2, "temperature": 0.5, "top_p": 0.9, "stop": "x", "seed": 3, "best_of": 2}
    async with house() as place:
        await complete(place, **fields, presence_penalty=1, frequency_penalty=-1, logprobs=3, user="u")
        (asked,) = place.backend("small").requests
    assert (asked.n, asked.temperature, asked.top_p, asked.stop, asked.seed) == (2, 0.5, 0.9, ("x",), 3)
    assert (asked.presence_penalty, asked.frequency_penalty, asked.top_logprobs) == (1, -1, 3)


async def test_without_max_tokens_it_writes_sixteen_as_openai_does() -> None:
    async with house(member("only", {"answer": "w " * 40})) as place:
        answer = await complete(place, max_tokens=None)
    assert len(answer.choices[0].text.split()) == 16
    assert answer.choices[0].finish_reason == "length"


async def test_several_prompts_are_answered_in_their_order_each_by_its_own_route() -> None:
    async with house() as place, place.client() as client:
        raw = await client.completions.with_raw_response.create(
            model="auto", prompt=[PROMPT, "What else?"], n=2, max_tokens=9
        )
        answer = raw.parse()
    texts = ["The capital of France is Paris."] * 2 + ["It is 42."] * 2
    assert [(c.index, c.text) for c in answer.choices] == list(enumerate(texts))
    accounts = answer.model_dump()["pinnace"]
    assert [account["route"] for account in accounts] == ["small", "small>large"]
    assert (answer.model, raw.headers["x-pinnace-model"]) == ("small,large", "small,large")
    cost = sum(account["cost_usd"] for account in accounts)
    assert float(raw.headers["x-pinnace-cost-usd"]) == pytest.approx(cost)
    assert {row.request_id for row in place.rows} == {f"{answer.id}-0", f"{answer.id}-1"}
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2 * 6 + 2 * 3


async def test_one_prompt_that_fails_ends_the_others() -> None:
    slow = {"when": "slow", "answer": "w " * 1000, "token_s": 0.01}
    only = member("only", slow, {"answer": "x", "fault": "refuse"})
    async with house(only) as place:
        with pytest.raises(openai.InternalServerError) as caught:
            await complete(place, prompt=["slow", "broken"], max_tokens=900)
        assert place.backend("only").aborted == 1
    assert (caught.value.status_code, caught.value.code) == (503, "backend_unavailable")


async def test_a_stream_has_the_same_text_and_ends_with_usage_and_done() -> None:
    async with house() as place, place.http() as http:
        body = {"model": "auto", "prompt": PROMPT, "stream": True, "n": 2, "max_tokens": 9}
        response = await http.post(PATH, json={**body, "stream_options": {"include_usage": True}})
    *chunks, done = parse(response.content)
    assert done == "[DONE]"
    events = [json.loads(chunk) for chunk in chunks]
    texts = ["", ""]
    for event in events[:-1]:
        assert (event["object"], event["usage"]) == ("text_completion", None)
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["The capital of France is Paris."] * 2
    finishes = [c["finish_reason"] for event in events for c in event["choices"] if c["finish_reason"]]
    assert finishes == ["stop", "stop"]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 12
    assert events[-1]["pinnace"]["model"] == "small"


async def test_logprobs_have_the_older_shape_streamed_and_whole() -> None:
    async with house() as place, place.client() as client:
        whole = (await complete(place, logprobs=1)).choices[0].logprobs
        stream = await client.completions.create(
            model="auto", prompt=PROMPT, max_tokens=9, logprobs=1, stream=True
        )
        pieces = [c.choices[0].logprobs async for c in stream if c.choices and c.choices[0].logprobs]
        none = (await complete(place, logprobs=0)).choices[0].logprobs
    assert whole is not None
    assert whole.tokens == ["The ", "capital ", "of ", "France ", "is ", "Paris."]
    assert whole.text_offset == [len(PROMPT) + at for at in (0, 4, 12, 15, 22, 25)]
    assert whole.token_logprobs == pytest.approx([-0.0513] * 6, abs=1e-3)
    assert whole.top_logprobs is not None
    assert [list(top) for top in whole.top_logprobs] == [[token] for token in whole.tokens]
    assert [token for piece in pieces for token in piece.tokens or ()] == whole.tokens
    assert [at for piece in pieces for at in piece.text_offset or ()] == whole.text_offset
    assert none is not None
    assert none.top_logprobs is None


async def test_a_stream_that_breaks_off_ends_with_an_error_and_no_done() -> None:
    broken = member("only", {"answer": "one two three four five", "fault": "cut", "fault_after": 4})
    async with house(broken) as place:
        async with place.http() as http:
            body = {"model": "auto", "prompt": "x", "stream": True}
            response = await http.post(PATH, json=body)
        assert json.loads(parse(response.content)[-1])["error"]["code"] == "backend_unavailable"
        with pytest.raises(openai.APIError, match="scripted cut"):
            async for _ in await complete(place, stream=True):
                pass


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"prompt": [1, 2]}, "prompt", "unsupported_parameter", "token ids are not supported, only text"),
    ({"prompt": [[1], [2]]}, "prompt", "unsupported_parameter", "token ids are not supported, only text"),
    ({"prompt": ""}, "prompt", "invalid_value", "not empty, or a list of such strings, got ''"),
    ({"prompt": []}, "prompt", "invalid_value", "got []"),
    ({"prompt": ["a", 1]}, "prompt", "invalid_value", "got ['a', 1]"),
    ({"prompt": None}, "prompt", "invalid_value", "got None"),
    ({"prompt": ["a"] * 17}, "prompt", "invalid_value", "expected at most 16, got 17"),
    ({"prompt": ["a", "b"], "stream": True}, "prompt", "invalid_value", "a stream takes one prompt, got 2"),
    ({"suffix": "x"}, "suffix", "unsupported_parameter", "not supported"),
    ({"echo": True}, "echo", "unsupported_parameter", "leave it out or send false"),
    ({"best_of": 3}, "best_of", "unsupported_parameter", "more than n choices is not supported"),
    ({"logprobs": 6}, "logprobs", "invalid_value", "less than or equal to 5, got 6"),
    ({"n": 9}, "n", "invalid_value", "expected at most 8, got 9"),
    ({"max_tokens": 5000}, "max_tokens", "invalid_value", "expected at most 4096, got 5000"),
    ({"stream_options": {}}, "stream_options", "invalid_value", "needs stream to be true"),
    ({"promt": "x"}, "promt", "unknown_parameter", "did you mean 'prompt'?"),
]


@pytest.mark.parametrize(("fields", "param", "code", "said"), REFUSED)
async def test_what_is_wrong_is_refused_by_name(
    fields: dict[str, Any], param: str, code: str, said: str
) -> None:
    async with house() as place, place.http() as http:
        response = await http.post(PATH, json={"model": "auto", "prompt": "x", **fields})
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert said in str(error["message"])


async def test_an_unknown_model_is_404() -> None:
    async with house() as place, place.http() as http:
        response = await http.post(PATH, json={"model": "nobody", "prompt": ["x", "y"]})
    assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
