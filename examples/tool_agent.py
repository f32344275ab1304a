"""Tools: plain functions that a model may call before it answers, and an answer of a type all the same."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Step, tool

KILOS = {"flour": 12, "yeast": 0}
Item = Literal["flour", "yeast"]


class Offer(BaseModel):
    kilos: int = Field(ge=0, le=1000)
    euros: float = Field(ge=0, le=10_000)


async def in_stock(item: Item) -> int:
    """How many kilos of an item are in stock."""
    return KILOS[item]


@tool(timeout_s=5)
def price(item: Item) -> str:
    """What a kilo of an item costs."""
    return f"{item}: 1.20 euros a kilo"


OFFER = Step("Ask the tools, then make an offer.", Offer, name="offer", tools=[in_stock, price], max_turns=4)


async def main(fleet: Fleet) -> Offer:
    """What can be offered to who wants flour."""
    return await fleet.ask(OFFER, "All the flour that you have, please. What does it cost?")


if __name__ == "__main__":
    print(Fleet.connect("http://127.0.0.1:8000"), asyncio)
