"""Extraction at scale: many messages at once, a session for each, and what cannot be read stops nobody."""

import asyncio
from collections.abc import Iterable

from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Limits, Session, Step
from pinnace.errors import LimitError, OutputError

MESSAGES = [f"{count} loaves of {kind} bread, please." for kind in ("rye", "oat") for count in range(2, 8)]


class Order(BaseModel):
    item: str = Field(max_length=30)
    count: int = Field(ge=1, le=99)


READ = Step("Read the order out of the message.", Order, name="read", max_tokens=128)


async def read(run: Session, message: str) -> Order | None:
    try:
        return await run.ask(READ, message)
    except (OutputError, LimitError):  # no model's answer is an order
        return None


async def main(fleet: Fleet, messages: Iterable[str] = MESSAGES) -> list[Order | None]:
    return await fleet.map(read, messages, limits=Limits(requests=3, seconds=300))


if __name__ == "__main__":

    async def connected() -> None:
        async with Fleet.connect("http://127.0.0.1:8000") as fleet:
            print(await main(fleet))

    asyncio.run(connected())
