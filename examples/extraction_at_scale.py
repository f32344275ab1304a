"""Extraction at scale: many messages at once, a session for each, and what cannot be read stops nobody."""

import asyncio
from collections.abc import Iterable

from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Limits, Session, Step
from pinnace.errors import LimitError, OutputError


class Order(BaseModel):
    item: str = Field(max_length=30)
    quantity: int = Field(ge=1, le=99)
    is_urgent: bool


READ = Step("Read the order out of the message.", Order, name="read", max_tokens=128)
MESSAGES = [f"Hello, {n} loaves of {kind} bread by Monday, please." for n in range(2, 8) for kind in ("rye", "oat")]


async def read(run: Session, message: str) -> Order | None:
    """The order, or None where no model's answer is one."""
    try:
        return await run.ask(READ, message)
    except (OutputError, LimitError):
        return None


async def main(fleet: Fleet, messages: Iterable[str] = MESSAGES) -> list[Order | None]:
    """The orders, one a message, in their order."""
    return await fleet.map(read, messages, limits=Limits(requests=3, seconds=300))


if __name__ == "__main__":
    with Fleet.connect("http://127.0.0.1:8000").blocking() as fleet:
        print(fleet.map(read, MESSAGES))
