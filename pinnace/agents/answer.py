"""What a session gives back for one step: its answer, and the events of an answer that is streamed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pinnace.agents.reply import Account

T = TypeVar("T")


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Answer(Generic[T]):
    """The answer to one step: its value, the text that it was read from, and how it came about.

    `confidence` is the strategy's, None where nobody knows. `rungs` counts the tries of this session, the
    one that answered among them; `account` is of that one.
    """

    value: T
    text: str
    confidence: float | None
    why: str
    rungs: int
    account: Account


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of what the model says; it is never taken back.

    The answer's text, but for what is said before a `ToolCalled`: that is no part of the answer.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool is being run."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Escalated:
    """An answer was doubted, or could not be had: `model` is asked after the models before it."""

    model: str
    why: str


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Final(Generic[T]):
    """The end: the whole answer."""

    answer: Answer[T]


StepEvent = Text | ToolCalled | Escalated | Final[T]
Tell = Callable[[Text | ToolCalled | Escalated], None]
"""Hears what happens while a step is being answered."""
