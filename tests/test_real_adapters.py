"""Four adapters and their base in one real engine: each answers as it does alone, and one more comes.

Two are specialists that ship, asked what they were made for. Two are random, each with a text of its own
that means nothing.
"""

import asyncio
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from adapter_fixtures import random_adapter
from real_server import ROOT, Running, pinnace_serve, wait_for, wait_ready

pytestmark = pytest.mark.real

BASE = "smollm2-135m"
STRENGTH = 0.3
SHIPPED = ("intents", "trec")
RANDOM = ("a0", "a1")
NAMES = (BASE, *SHIPPED, *RANDOM)
COUNTRIES = ("France", "Japan", "Italy", "Spain", "Germany", "Poland", "Norway", "Sweden", "Egypt", "Chile")
QUESTIONS = [f"What is the capital of {country}, and what is it known for?" for country in COUNTRIES]
INTENTS = {
    "what is my account balance": "balance",
    "set an alarm for seven tomorrow": "alarm",
    "how do you say cat in spanish": "translate",
    "what is the weather like in paris": "weather",
    "flip a coin for me": "flip coin",
    "remind me to call my mother": "reminder",
    "tell me a joke": "tell joke",
    "i lost my luggage": "lost luggage",
    "my card was declined yesterday": "card declined",
    "play some jazz": "play music",
}
TYPES = {
    "Who wrote Hamlet?": "person",
    "Where is Mount Kenya?": "place",
    "How many moons has Mars?": "number",
    "What is the abbreviation of light-emitting diode?": "abbreviation",
    "What is photosynthesis?": "description",
    "When did the war end?": "number",
    "Who invented the telephone?": "person",
    "What country is Oslo in?": "place",
    "How far is the moon?": "number",
    "Who was the first king of France?": "person",
}
ASKED_INTENT = 'Which intent does this message have? Answer with its name, or "out of scope".'
ASKED_TYPE = (
    "What does this question ask for: abbreviation, description, thing, person, place or number? "
    "Answer with one word."
)
RIGHT = {
    "intents": {f'"{text}"\n{ASKED_INTENT}': label for text, label in INTENTS.items()},
    "trec": {f'"{text}"\n{ASKED_TYPE}': label for text, label in TYPES.items()},
}
PROMPTS = {name: list(RIGHT[name]) if name in RIGHT else QUESTIONS for name in NAMES}
NEAR = 0.25
"""Nats between the two likeliest tokens that rounding may swap: two steps of bfloat16 between 16 and 32."""
C = 32
END = "<|im_end|>"


def configured(folder: Path, state: Path) -> Path:
    """A router.yaml with the adapters beside the default model."""
    (local, *_) = yaml.safe_load((ROOT / "router.yaml").read_text())["fleet"]
    places = {name: ROOT / "adapters" / name for name in SHIPPED}
    for seed, name in enumerate(RANDOM):
        places[name] = random_adapter(folder / name, seed, strength=STRENGTH)
    members = [member_of(name, place) for name, place in places.items()]
    raw = {
        "fleet": [{**local, "engine": {"max_lora_rank": 16}}, *members],
        "router": {"embedder": "hashing", "state": str(state)},
    }
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(raw))
    return config


def member_of(name: str, place: Path) -> dict[str, Any]:
    return {"name": name, "backend": "vllm", "base": BASE, "adapter": str(place)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fitted_state: Path) -> Generator[Running, None, None]:
    folder = tmp_path_factory.mktemp("adapters")
    config = configured(folder, fitted_state)
    with pinnace_serve(config, folder, {"HF_HUB_OFFLINE": "1"}) as running:
        wait_ready(running)
        wait_for(lambda: any("a1 is ready" in line for line in running.lines()), running, 60)
        yield running


async def ask(http: httpx.AsyncClient, model: str, question: str, tokens: int = 16) -> list[dict[str, Any]]:
    """The tokens of a greedy answer, each with its two likeliest."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 2,
    }
    response = await http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["model"] == model
    return response.json()["choices"][0]["logprobs"]["content"]


def text(tokens: list[dict[str, Any]]) -> str:
    return "".join(token["token"] for token in tokens)


async def until(http: httpx.AsyncClient, holds: Callable[[set[str]], bool]) -> None:
    """Wait until what `holds` asks of the names of the models that are served is true."""
    for _ in range(600):
        if holds({model["id"] for model in (await http.get("/v1/models")).json()["data"]}):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the reload has not come to its end within a minute")


def check_near_tie(alone: list[dict[str, Any]], mixed: list[dict[str, Any]]) -> None:
    """Where the two first differ, both have the same two likeliest tokens, near each other."""
    parted = ((a, m) for a, m in zip(alone, mixed, strict=False) if a["token"] != m["token"])
    one, other = next(parted)
    both = {one["token"], other["token"]}
    for each in (one, other):  # as rounding leaves them: one first, the other, or both at once
        first, second = each["top_logprobs"]
        assert first["logprob"] - second["logprob"] <= NEAR, (text(alone), text(mixed))
        assert {first["token"], second["token"]} == both, (text(alone), text(mixed))


async def test_each_answers_in_a_mixed_batch_as_it_does_alone(server: Running) -> None:
    pairs = [(name, PROMPTS[name][at]) for at in range(len(QUESTIONS)) for name in NAMES]
    places = asyncio.Semaphore(C)
    async with httpx.AsyncClient(base_url=server.url, timeout=300) as http:

        async def beside_others(name: str, question: str) -> list[dict[str, Any]]:
            async with places:
                return await ask(http, name, question)

        mixed = await asyncio.gather(*(beside_others(*pair) for pair in pairs))
        alone = [await ask(http, *pair) for pair in pairs]
    for each, beside in zip(alone, mixed, strict=True):
        if text(each) != text(beside):
            check_near_tie(each, beside)
    said = {pair: text(each).removesuffix(END).strip() for pair, each in zip(pairs, mixed, strict=True)}
    for name, labels in RIGHT.items():
        right = [said[name, prompt] == label for prompt, label in labels.items()]
        assert sum(right) >= len(right) - 2, said
    assert "Paris" in said[BASE, QUESTIONS[0]]
    own = {tuple(said[name, question] for question in QUESTIONS) for name in (BASE, *RANDOM)}
    assert len(own) == 3  # nobody speaks as another


async def test_one_more_comes_while_the_others_answer_and_none_is_lost(server: Running) -> None:
    config = Path(server.folder) / "router.yaml"
    raw = yaml.safe_load(config.read_text())
    garbles = random_adapter(Path(server.folder) / "a4", 4, strength=3 * STRENGTH)  # as nobody else speaks
    added = member_of("a4", garbles)
    is_there = asyncio.Event()
    async with httpx.AsyncClient(base_url=server.url, timeout=300) as http:

        async def keep_asking(name: str) -> list[str]:
            said: list[str] = []
            while not is_there.is_set() or len(said) < 2:
                said.append(text(await ask(http, name, QUESTIONS[0])))
            return said

        asking = [asyncio.create_task(keep_asking(NAMES[number % len(NAMES)])) for number in range(8)]
        config.write_text(yaml.safe_dump({**raw, "fleet": [*raw["fleet"], added]}))
        server.process.send_signal(signal.SIGHUP)
        await until(http, lambda names: "a4" in names)
        fresh = text(await ask(http, "a4", QUESTIONS[0]))
        is_there.set()
        said = await asyncio.gather(*asking)
        assert fresh not in {one for answers in said for one in answers}
        config.write_text(yaml.safe_dump(raw))
        server.process.send_signal(signal.SIGHUP)
        await until(http, lambda names: "a4" not in names)
        assert "Paris" in text(await ask(http, BASE, QUESTIONS[0]))
    told = "\n".join(server.lines())
    assert "started: a4; kept: smollm2-135m, intents, trec, a0, a1" in told
    assert "kept: smollm2-135m, intents, trec, a0, a1; stopping: a4" in told
    assert told.count("self-test passed") == 1
