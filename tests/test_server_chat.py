"""Chat completions through the openai client: what a user of any OpenAI library sees."""

import pytest
from openai.types.chat import ChatCompletion
from server_fixtures import ASK, ASK_HARD, House, house, member

FUNCTION = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}


async def ask(place: House, **fields: object) -> ChatCompletion:
    async with place.client() as client:
        return await client.chat.completions.create(**{"model": "auto", "messages": ASK, **fields})


async def test_an_accepted_answer_is_the_small_models_own() -> None:
    async with house() as place:
        answer = await ask(place)
    assert answer.model == "small"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "The capital of France is Paris.")
    assert (choice.finish_reason, choice.logprobs) == ("stop", None)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        6,
        6,
        12,
    )


async def test_the_answer_carries_the_account_of_its_route() -> None:
    async with house() as place:
        answer = await ask(place, messages=ASK_HARD)
    assert answer.choices[0].message.content == "It is 42."
    assert answer.model_dump()["pinnace"] == {
        "model": "large",
        "route": "small>large",
        "confidence": 0.9,
        "cost_usd": pytest.approx((7 + 5) * 1e-6 + (7 + 3) * 10e-6),
        "escalated": True,
        "why": "escalated: small: confidence 0.20 is below 0.50",
    }
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)


async def test_headers_say_who_answered_by_which_route_and_for_how_much() -> None:
    async with house() as place, place.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=ASK_HARD)
    assert raw.headers["x-pinnace-model"] == "large"
    assert raw.headers["x-pinnace-route"] == "small>large"
    assert raw.headers["x-pinnace-confidence"] == "0.9000"
    assert float(raw.headers["x-pinnace-cost-usd"]) == pytest.approx(
        raw.parse().model_dump()["pinnace"]["cost_usd"]
    )
    assert raw.headers["x-pinnace-why"] == "escalated: small: confidence 0.20 is below 0.50"
    assert raw.headers["x-request-id"].startswith("req-")


async def test_a_members_name_goes_straight_to_it() -> None:
    async with house() as place:
        answer = await ask(place, model="large")
        assert place.backend("small").requests == []
    assert answer.model == "large"
    assert answer.model_dump()["pinnace"]["route"] == "large"


async def test_several_choices_come_back_in_order() -> None:
    async with house() as place:
        answer = await ask(place, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"The capital of France is Paris."}


async def test_max_tokens_cuts_an_answer_and_says_length() -> None:
    async with house() as place:
        answer = await ask(place, max_completion_tokens=2)
    assert answer.choices[0].message.content == "The capital "
    assert answer.choices[0].finish_reason == "length"


async def test_log_probabilities_are_shown_where_asked_for_and_as_many() -> None:
    async with house() as place:
        answer = await ask(place, logprobs=True, top_logprobs=1)
        without = await ask(place, logprobs=True)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == answer.choices[0].message.content
    assert bytes(logprobs.content[0].bytes or ()) == b"The "
    assert [len(token.top_logprobs) for token in logprobs.content] == [1] * 6
    assert logprobs.content[0].logprob == logprobs.content[0].top_logprobs[0].logprob
    assert without.choices[0].logprobs is not None
    assert without.choices[0].logprobs.content is not None
    assert without.choices[0].logprobs.content[0].top_logprobs == []


async def test_every_field_reaches_the_backend() -> None:
    async with house() as place:
        await ask(
            place,
            temperature=0.5,
            top_p=0.9,
            presence_penalty=0.1,
            frequency_penalty=-0.1,
            stop=["\n", "END"],
            seed=7,
            max_tokens=5,
            tools=[{"type": "function", "function": FUNCTION}],
            tool_choice={"type": "function", "function": {"name": "add"}},
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object"}},
            },
            user="me",
            metadata={"a": "b"},
            store=False,
        )
        request = place.backend("small").requests[0]
    assert (request.temperature, request.top_p, request.seed, request.max_tokens) == (0.5, 0.9, 7, 5)
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, -0.1)
    assert request.stop == ("\n", "END")
    assert request.tools == ({"type": "function", "function": FUNCTION},)
    assert request.tool_choice == {"type": "function", "function": {"name": "add"}}
    assert request.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}},
    }


async def test_an_answer_can_be_sent_home_as_the_next_turn() -> None:
    async with house() as place:
        answer = await ask(place)
        again = await ask(place, messages=[*ASK, answer.choices[0].message, *ASK])
        assert [m.role for m in place.backend("small").requests[-1].messages] == ["user", "assistant", "user"]
    assert again.choices[0].message.content == "The capital of France is Paris."


async def test_a_broken_large_model_leaves_the_small_answer_and_the_reason() -> None:
    large = member("large", {"answer": "x", "fault": "refuse"})
    small = member("small", {"answer": "I do not know.", "probability": 0.2})
    async with house(small, large) as place, place.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    assert raw.parse().choices[0].message.content == "I do not know."
    assert raw.headers["x-pinnace-model"] == "small"
    assert raw.headers["x-pinnace-why"] == "not escalated: large: scripted refusal"


async def test_models_lists_auto_and_what_serves() -> None:
    async with house() as place, place.client() as client:
        models = [model async for model in client.models.list()]
    assert [model.id for model in models] == ["auto", "small", "large"]
    assert {model.object for model in models} == {"model"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_ledger_has_one_row_that_agrees_with_the_answer(stream: bool) -> None:
    async with house() as place, place.http() as http:
        body = {"model": "auto", "messages": ASK_HARD, "stream": stream}
        response = await http.post("/v1/chat/completions", json=body)
        (row,) = place.rows
    assert (row.model, row.route) == (
        response.headers["x-pinnace-model"],
        response.headers["x-pinnace-route"],
    )
    assert (row.outcome, row.asked_model, row.escalated) == ("accepted", "auto", True)
    assert row.request_id.startswith("chatcmpl-")
    assert row.request_id in response.text
    cost = f'"cost_usd":{round(row.cost_usd, 10)}'
    assert cost in response.text
