"""Other people's clients against a real socket: the openai client without asyncio, and pydantic-ai."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from server_fixtures import House, house, on_a_socket
from test_server_embeddings import embedding_house
from told_house import Told, called, ended, told_house

from pinnace.models.completion import Delta

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."
FACES = pytest.mark.parametrize("face", [OpenAIChatModel, OpenAIResponsesModel])
_T = TypeVar("_T")


@asynccontextmanager
async def asking(place: House) -> AsyncGenerator[Callable[[Callable[[openai.OpenAI], _T]], Any], None]:
    """Run a deed of the blocking client on a thread."""
    async with on_a_socket(place.app) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)
        yield lambda deed: asyncio.to_thread(deed, client)
        client.close()


async def test_the_blocking_client_drives_every_endpoint() -> None:
    async with embedding_house() as place, asking(place) as ask:
        chat = await ask(lambda c: c.chat.completions.create(model="auto", messages=ASK))
        chunks = await ask(lambda c: list(c.chat.completions.create(model="auto", messages=ASK, stream=True)))
        text = await ask(lambda c: c.completions.create(model="auto", prompt="capital"))
        response = await ask(lambda c: c.responses.create(model="auto", input="capital"))
        events = await ask(lambda c: list(c.responses.create(model="auto", input="capital", stream=True)))
        vectors = await ask(lambda c: c.embeddings.create(model="hashing", input=["a", "b"]))
        models = await ask(lambda c: [model.id for model in c.models.list()])
        one = await ask(lambda c: c.models.retrieve("small"))
        with pytest.raises(openai.BadRequestError, match="score: expected less than or equal to 1, got 2"):
            await ask(lambda c: c.post("/feedback", body={"id": chat.id, "score": 2}, cast_to=object))
    assert chat.choices[0].message.content == PARIS
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == PARIS
    assert (text.choices[0].text, response.output_text) == (PARIS, PARIS)
    assert events[-1].type == "response.completed"
    assert [len(each.embedding) for each in vectors.data] == [512, 512]
    assert models == ["auto", "small", "large", "hashing"]
    assert (one.id, one.object, one.owned_by) == ("small", "model", "pinnace")


async def test_a_model_that_is_not_there_is_404() -> None:
    async with house() as place, asking(place) as ask:
        with pytest.raises(openai.NotFoundError) as caught:
            await ask(lambda c: c.models.retrieve("org/nobody"))
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "there is no model 'org/nobody' here; there are: auto, small, large" in str(caught.value)


def agent_of(face: type[Any], place: House, **options: Any) -> Agent[None, Any]:
    """An agent of pydantic-ai that speaks chat or responses with `place`."""
    provider = OpenAIProvider(openai_client=place.client())
    return Agent(face("auto", provider=provider), **options)


@FACES
async def test_pydantic_ai_asks(face: type[Any]) -> None:
    async with house() as place:
        result = await agent_of(face, place, instructions="Be brief.").run("What is the capital?")
    assert result.output == PARIS
    assert (result.usage.input_tokens, result.usage.output_tokens) == (6, 6)


@FACES
async def test_pydantic_ai_streams(face: type[Any]) -> None:
    async with house() as place, agent_of(face, place).run_stream("What is the capital?") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == PARIS
    assert len(pieces) == 6


@FACES
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_pydantic_ai_calls_tools(face: type[Any], is_streamed: bool) -> None:
    backend = Told(*called(0, "add", '{"a": 40, ', '"b": 2}'), ended("tool_calls"))
    async with told_house(backend) as place:
        agent = agent_of(face, place)

        @agent.tool_plain
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        if is_streamed:
            async with agent.run_stream("What is 40 + 2?") as result:
                output = await result.get_output()
        else:
            output = (await agent.run("What is 40 + 2?")).output
    assert output == "It is 42."
    first, second = backend.requests
    assert [tool["function"]["name"] for tool in first.tools] == ["add"]
    assert [message.role for message in second.messages] == ["user", "assistant", "tool"]
    assert second.messages[1].extra["tool_calls"][0]["id"] == "call_0"


class City(BaseModel):
    """A city."""

    name: str


@FACES
async def test_pydantic_ai_gets_typed_output(face: type[Any]) -> None:
    from pydantic_ai import NativeOutput

    backend = Told(Delta('{"name": "Paris"}'), ended())
    async with told_house(backend) as place:
        agent = agent_of(face, place, output_type=NativeOutput(City))
        result = await agent.run("Which city?")
    assert result.output == City(name="Paris")
    (asked,) = backend.requests
    assert asked.response_format is not None
    assert asked.response_format["json_schema"]["name"] == "City"
