"""What the agent layer adds to a call: CPU time of one structured call, four ways, in one process.

    .venv/bin/python benchmarks/agent_layer.py [--calls 400] [--repeats 5]

`line` is Pinnace's own client alone, `session` a step asked through it (schema, limits, trace, validated
output); `openai` is the openai client alone, `pydantic_ai` an agent with the same output on it. The stand-in
for the model runs in a process of its own and answers at once, so that nothing but the callers is measured.
Sides take turns, one call at a time; milliseconds of this process's CPU per call, the median of the repeats
with the least and the most.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from pinnace.agents import Fleet, Limits, Step
from pinnace.agents.output import output_of
from pinnace.bench.hardware import hardware
from pinnace.models.completion import Message, Request

SAID = json.dumps({"subject": "a lost card", "urgency": 4})
ASKED = "I lost my card in the tram, please block it at once."
INSTRUCTIONS = "Read the ticket."
Ask = Callable[[], Awaitable[object]]


class Ticket(BaseModel):
    """What a customer wants."""

    subject: str
    urgency: int


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of one connection: the models for a GET, the ticket for a POST."""
    models = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}
    message = {"role": "assistant", "content": SAID, "refusal": None}
    completion = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60},
    }
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            body = json.dumps(models if head.startswith(b"get") else completion).encode()
            start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            writer.write(start % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def serve(port: Connection) -> None:
    """Be the stand-in until the process is ended."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def cpu_ms(ask: Ask, calls: int) -> float:
    """Milliseconds of CPU per call."""
    began = time.process_time()
    for _ in range(calls):
        await ask()
    return 1000 * (time.process_time() - began) / calls


async def measure(url: str, calls: int, repeats: int) -> dict[str, list[float]]:
    """Each side's figures, the sides taking turns."""
    output = output_of(Ticket, "read")
    turns = (Message("system", INSTRUCTIONS), Message("user", ASKED))
    request = Request(turns, max_tokens=512, response_format=output.response_format())
    step = Step(INSTRUCTIONS, output=Ticket, name="read")
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, output_type=NativeOutput(Ticket), instructions=INSTRUCTIONS)
    async with Fleet.connect(url) as fleet, fleet.session(Limits(requests=10**9)) as run:

        async def bare() -> object:
            return await client.chat.completions.create(
                model="m",
                messages=[{"role": m.role, "content": m.content} for m in turns],  # type: ignore[misc]
                response_format=request.response_format,  # type: ignore[arg-type]
            )

        sides: dict[str, Ask] = {
            "line": lambda: fleet.line.complete(request),
            "session": lambda: run.ask(step, ASKED),
            "openai": bare,
            "pydantic_ai": lambda: agent.run(ASKED),
        }
        found: dict[str, list[float]] = {name: [] for name in sides}
        for at in range(repeats + 1):
            for name, ask in sides.items():
                took = await cpu_ms(ask, calls)
                found[name] += [took] if at else []  # the first round warms up
    await client.close()
    return found


def main() -> int:
    """Run, and print JSON."""
    parser = argparse.ArgumentParser(description="What the agent layer adds to a call")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    stand_in = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    stand_in.start()
    found = asyncio.run(measure(f"http://127.0.0.1:{ours.recv()}", options.calls, options.repeats))
    stand_in.terminate()
    middle = {name: statistics.median(each) for name, each in found.items()}
    told = {
        "hardware": hardware(),
        "command": " ".join(sys.argv),
        "cpu_ms_per_call": {
            name: {"median": middle[name], "least": min(each), "most": max(each)}
            for name, each in found.items()
        },
        "added_by_session_ms": middle["session"] - middle["line"],
        "added_by_pydantic_ai_ms": middle["pydantic_ai"] - middle["openai"],
    }
    print(json.dumps(told, indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
