"""Functions that tests make tools of."""

from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Unit(Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Place(BaseModel):
    """Where on the map."""

    title: str
    height: float = 0.0
    within: "Place | None" = None


def weather(
    place: Place,
    days: Annotated[int, Field(ge=1, le=7)] = 1,
    unit: Unit = Unit.CELSIUS,
    kind: Literal["short", "long"] = "short",
    note: str | None = None,
) -> str:
    """Tell the weather
    of a place.

    This is for people who read the code.

    :param place: where it is asked for,
        with its name
    :param int days: how many
    :param note: what else matters
    :returns: a sentence.
    """
    return f"{place.title} {days} {unit.name} {kind} {note}"


def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    Args:
        a (int, required): the first: of two
            numbers
        b: the second

    Returns:
        their sum: a number
    """
    return a + b


class Counter:
    """A place to count."""

    def __init__(self) -> None:
        self.count = 0

    def up(self, by: int = 1) -> int:
        """Count up."""
        self.count += by
        return self.count
