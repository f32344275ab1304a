"""Tools: plain functions that a model may call before it answers, and an answer of a type all the same."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Step


class Offer(BaseModel):
    kilos: int = Field(ge=0, le=1000)
    euros: float = Field(ge=0, le=10_000)


async def in_stock(item: Literal["flour", "yeast"]) -> str:
    """How much of an item is in stock."""
    return f"{item}: {12 if item == 'flour' else 0} kilos in stock"


def price(item: Literal["flour", "yeast"]) -> str:
    """What an item costs."""
    return f"{item}: 1.20 euros a kilo"


OFFER = Step("Ask the tools, then make an offer.", Offer, name="offer", tools=[in_stock, price], max_turns=4)


async def main(fleet: Fleet) -> Offer:
    return await fleet.ask(OFFER, "All the flour that you have, please. What does it cost?")


if __name__ == "__main__":

    async def connected() -> None:
        async with Fleet.connect("http://127.0.0.1:8000") as fleet:
            print(await main(fleet))

    asyncio.run(connected())
