"""What tests of sessions share."""

import asyncio
from collections.abc import Callable

from pydantic import BaseModel, Field

from pinnace.agents.step import Step


class Ticket(BaseModel):
    """What a customer wants."""

    subject: str
    urgency: int = Field(ge=1, le=5)


TICKET = Step("Read the ticket.", output=Ticket, name="read")
GOOD = '{"subject": "a lost card", "urgency": 4}'
BAD = '{"subject": "a lost card", "urgency": 9}'


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def weather(city: str) -> str:
    """The weather of a city.

    :param city: its name.
    """
    return f"rain in {city}"


def breaks(city: str) -> str:
    """The weather of a city."""
    raise RuntimeError("no sky")
