"""The whole of OpenAI's surface with a real model: SmolLM2-135M on vLLM, MiniLM, and the ledger on disk."""

from collections.abc import Generator
from pathlib import Path

import openai
import pytest
from real_server import ROOT, Running, pinnace_serve, wait_for, wait_ready

from pinnace.router.ledger_feedback import read_feedback

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running, None, None]:
    folder = tmp_path_factory.mktemp("surface")
    with pinnace_serve(ROOT / "router.yaml", folder, {"HF_HUB_OFFLINE": "1"}) as running:
        wait_ready(running)
        yield running


def test_every_endpoint_answers_and_what_it_answered_can_be_rated(server: Running) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        text = client.completions.create(
            model="auto", prompt="Paris is the capital of", max_tokens=4, temperature=0, logprobs=2
        )
        response = client.responses.create(
            model="auto", input="What is the capital of France?", temperature=0, max_output_tokens=24
        )
        events = list(
            client.responses.create(
                model="auto",
                input="What is the capital of France?",
                temperature=0,
                max_output_tokens=24,
                stream=True,
            )
        )
        embedder = next(model.id for model in client.models.list() if "minilm" in model.id)
        vectors = client.embeddings.create(
            model=embedder, input=["a cat", "a kitten", "tax law"], dimensions=128
        )
        for name in (text.id, response.id):
            client.post("/feedback", body={"id": name, "rating": "up"}, cast_to=object)
    assert text.choices[0].text[:1] == " "  # it goes on with the text, and does not answer it
    assert text.choices[0].logprobs is not None
    assert len(text.choices[0].logprobs.tokens or ()) == 4
    assert text.usage is not None
    assert text.usage.prompt_tokens == 5  # the words alone, without a chat template
    assert "Paris" in response.output_text
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == response.output_text
    cat, kitten, law = (each.embedding for each in vectors.data)
    assert len(cat) == 128
    likeness = [sum(a * b for a, b in zip(cat, other, strict=True)) for other in (kitten, law)]
    assert likeness[0] > 0.5 > likeness[1]
    ledger = Path(server.folder) / ".pinnace" / "ledger.sqlite"
    wait_for(lambda: set(read_feedback(ledger)) == {text.id, response.id}, server, 60)
