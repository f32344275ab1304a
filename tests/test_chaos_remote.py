"""A remote server that breaks in every way, seen from the client: one ending each, and right books."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from openai_fixtures import KEY, backend_at
from server_fixtures import ASK_HARD, House, ScriptedDispatcher, eventually, member
from stand_in_remote import (
    DONE,
    Answer,
    Line,
    StandIn,
    answering,
    choice,
    event,
    hang,
    pause,
    refusing,
    reset,
    stand_in_remote,
)

from pinnace.config import Server
from pinnace.models.event_stream import LINE_BYTES
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.server.app import create_app

SMALL = "I do not know that."
LARGE = "It is forty two and nothing else."
WORDS = [event(choice(word + " ")) for word in LARGE.split()]
SHORT = {"connect_s": 10, "first_token_s": 0.3, "stall_s": 0.3}
LONG = {"connect_s": 10, "first_token_s": 30, "stall_s": 30}


async def endless(line: Line) -> None:
    """The same word for ever."""
    chunk = b"%x\r\n%s\r\n" % (len(WORDS[0]), WORDS[0]) * 100
    while True:
        await line.say(chunk)


FAULTS: dict[str, Answer] = {
    "slow first token": answering(hang),
    "no headers": hang,
    "stall mid-stream": answering(*WORDS[:5], hang),
    "stall after a token": answering(WORDS[0], hang),
    "reset at once": reset,
    "reset before a token": answering(reset),
    "reset mid-stream": answering(*WORDS[:5], reset),
    "garbage frame": answering(*WORDS[:5], b"data: {nope\n\n"),
    "garbage at once": answering(b"\x00\xff" * 50),
    "cut UTF-8": answering(*WORDS[:5], WORDS[0][:-20] + b"\xe2\x82\n\n"),
    "huge frame": answering(*WORDS[:5], b"data: " + b"x" * LINE_BYTES, b"x" * LINE_BYTES),
    "endless": answering(*WORDS[:5], endless),
    "no finish": answering(*WORDS, DONE),
    "error mid-stream": answering(*WORDS[:5], event(error={"message": f"full {KEY}"})),
    "503": refusing(503, b'{"error": "asleep"}'),
    "429": refusing(429, retry_after="0"),
    "redirect": refusing(307, location="http://127.0.0.1:1/v1/chat/completions"),
    "broken status line": lambda line: line.say(b"HTP/9 what\r\n\r\n"),
    "whole, then reset": answering(*WORDS, event(choice(finish="stop")), reset),
    "whole": answering(*WORDS, event(choice(finish="stop")), DONE),
}
GOOD = {"whole", "whole, then reset"}
SLOW = {"slow first token", "no headers", "stall mid-stream", "stall after a token"}


@dataclass
class Ending:
    """What a client saw of one request."""

    status: int
    text: str
    answers: int
    errors: int


@asynccontextmanager
async def chaotic(**large: object) -> AsyncGenerator[tuple[House, StandIn], None]:
    """A server over an unsure small model and a remote large one; nothing of it is left at the end."""
    before = asyncio.all_tasks()
    small = ScriptedBackend(member("small", {"answer": SMALL, "probability": 0.2}))
    async with stand_in_remote() as stand_in:
        fields = {"timeouts": LONG, "retries": {"base_s": 0.001, "longest_s": 0.002}, **large}
        backend = backend_at(stand_in.url, **fields)
        dispatcher = ScriptedDispatcher(Fleet({"small": small, "large": backend}))
        dispatcher.ledger.store_text = True
        await dispatcher.start()
        place = House(create_app(dispatcher, Server()), dispatcher)
        yield place, stand_in
        await eventually(lambda: len(place.app.lifelines) == 0)
        assert (place.app.admission.running, place.app.admission.queued) == (0, 0)
        assert (small.running, backend.running) == (0, 0)
        await dispatcher.drain()
    await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


async def asked(place: House, model: str, *, stream: bool) -> Ending:
    body = {"model": model, "messages": ASK_HARD, "stream": stream, "max_tokens": 64}
    async with place.http() as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert KEY not in response.text
    return ending_of(response)


def ending_of(response: httpx.Response) -> Ending:
    if not response.headers["content-type"].startswith("text/event-stream"):
        body = response.json()
        if response.status_code != 200:
            assert set(body) == {"error"}
            return Ending(response.status_code, "", 0, 1)
        return Ending(200, body["choices"][0]["message"]["content"], 1, 0)
    events = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    chunks = [json.loads(said) for said in events if said != "[DONE]"]
    pieces = [c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices")]
    errors = [chunk for chunk in chunks if "error" in chunk]
    assert events[-1] == "[DONE]" or "error" in json.loads(events[-1])
    return Ending(200, "".join(pieces), events.count("[DONE]"), len(errors))


def check_books(place: House, endings: list[Ending]) -> None:
    """One ending each, and one row each that says the same."""
    assert all(ending.answers + ending.errors == 1 for ending in endings)
    assert len(place.rows) == len(endings)
    told = sorted((row.outcome == "accepted", row.answer or "") for row in place.rows)
    seen = sorted((ending.answers == 1, ending.text) for ending in endings)
    assert told == seen


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["auto", "large"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_one_ending_and_a_row_that_says_the_same(fault: str, model: str, stream: bool) -> None:
    async with chaotic(timeouts=SHORT if fault in SLOW else LONG) as (place, stand_in):
        stand_in.answer = FAULTS[fault]
        ending = await asked(place, model, stream=stream)
        check_books(place, [ending])
        if fault in GOOD:
            assert (ending.answers, ending.text.strip()) == (1, LARGE)
        elif model == "auto" and not stream:
            assert (ending.answers, ending.text) == (1, SMALL)
        elif model == "large":
            assert ending.errors == 1
            assert ending.status in ((200, 502, 503, 504) if stream else (502, 503, 504))
        elif ending.errors:
            assert ending.text.startswith("It ")
        else:
            assert ending.text == SMALL


async def test_a_storm_of_all_of_them_with_clients_that_leave() -> None:
    chance = random.Random(7)
    faults = list(FAULTS.values())

    async def any_fault(line: Line) -> None:
        await chance.choice(faults)(line)

    async with chaotic(breaker={"failures": 10**6}, timeouts=SHORT) as (place, stand_in):
        stand_in.answer = any_fault
        jobs = [
            asyncio.create_task(asked(place, chance.choice(["auto", "large"]), stream=bool(i % 2)))
            for i in range(60)
        ]
        for job in jobs[::6]:
            asyncio.get_running_loop().call_later(chance.random() * 0.3, job.cancel)
        found = await asyncio.gather(*jobs, return_exceptions=True)
        endings = [ending for ending in found if isinstance(ending, Ending)]
        left = [ending for ending in found if isinstance(ending, asyncio.CancelledError)]
        assert len(endings) + len(left) == len(jobs)
        assert all(ending.answers + ending.errors == 1 for ending in endings)
        await eventually(lambda: len(place.app.lifelines) == 0)
        kept = [row for row in place.rows if row.outcome != "abandoned"]
        told = sorted((row.outcome == "accepted", row.answer or "") for row in kept)
        assert told == sorted((ending.answers == 1, ending.text) for ending in endings)


async def test_in_a_503_storm_the_small_model_goes_on_answering_and_the_server_is_left_alone() -> None:
    async with chaotic() as (place, stand_in):
        stand_in.answer = refusing(503)
        endings = await asyncio.gather(*(asked(place, "auto", stream=bool(i % 2)) for i in range(200)))
        check_books(place, list(endings))
        assert {ending.text for ending in endings} == {SMALL}
        assert len(stand_in.asked) <= 1.2 * len(endings)


async def test_many_slow_answers_at_once_come_whole() -> None:
    async with chaotic() as (place, stand_in):
        stand_in.answer = answering(*spaced(), event(choice(finish="stop")), DONE)
        endings = await asyncio.gather(*(asked(place, "large", stream=True) for _ in range(40)))
        check_books(place, list(endings))
        assert {ending.text.strip() for ending in endings} == {LARGE}


def spaced() -> list[bytes | Callable[[Line], Awaitable[None]]]:
    return [part for word in WORDS for part in (word, pause(0.02))]
