"""Votes and best of n: several answers in one request, and the one that most give, or that scores highest."""

import asyncio
from enum import StrEnum
from typing import Any

from pinnace.agents import Answer, Drawn, Fleet, Step, best_of, vote

LETTER = "My card is gone, and nobody answers the telephone!"


class Mood(StrEnum):
    CALM = "calm"
    CROSS = "cross"


def brevity(drawn: Drawn[Any]) -> float:
    """Higher is better, and so is shorter."""
    return -len(drawn.sample.text)


MOOD = Step("Is the writer calm or cross?", Mood, name="mood", strategy=vote(5), accept=0.6, max_tokens=8)
REPLY = Step("Reply in one kind sentence.", str, name="reply", strategy=best_of(4, brevity), max_tokens=64)


async def main(fleet: Fleet) -> tuple[Answer[Mood], str]:
    """How the writer feels, with the share of votes, and the shortest of the replies."""
    async with fleet.session() as run:
        return await asyncio.gather(run.answer(MOOD, LETTER), run.ask(REPLY, LETTER))


if __name__ == "__main__":

    async def connected() -> None:
        async with Fleet.connect("http://127.0.0.1:8000") as fleet:
            print(await main(fleet))

    asyncio.run(connected())
