"""Escalation: one step of a pipeline climbs unless it is sure, and the others take the first answer."""

import asyncio
from dataclasses import replace

from pinnace.agents import Answer, Fleet, Limits, Step

QUICK = Step("Answer in one short sentence.", str, name="quick", accept=0.0, max_tokens=64)
SURE = replace(QUICK, name="sure", accept=0.99)
QUESTION = "What is the capital of Australia?"


async def main(fleet: Fleet, question: str = QUESTION) -> tuple[Answer[str], Answer[str]]:
    """The first answer that comes, and one to rely on: who gave it, and how sure, stand in its account."""
    async with fleet.session(Limits(escalations=1)) as run:
        quick = await run.answer(QUICK, question)
        sure = await run.answer(SURE, question)
        run.trace.show()
    return quick, sure


if __name__ == "__main__":

    async def connected() -> None:
        async with Fleet.connect("http://127.0.0.1:8000") as fleet:
            print(await main(fleet))

    asyncio.run(connected())
