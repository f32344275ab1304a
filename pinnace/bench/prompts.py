"""What the bench asks: texts that call for long answers, and texts of many kinds for the router to place.

Made, not recorded: any number of them, none twice in one draw, the same for the same seed.
"""

import itertools
import random
from collections.abc import Sequence

from pinnace.models.completion import Message

SYSTEM = "You are a writer. You answer at length, in flowing prose, with many details."
"""Stands in for the member's own system turn, which may ask for short answers."""

_FORMS = (
    "Write a long story about {who} {where}. Describe the place, the people and the weather in detail.",
    "Tell me in many paragraphs about {who} {where}. Begin long before the events and leave nothing out.",
    "Write the first chapter of a novel about {who} {where}. Take your time, and describe every room.",
    "Explain at length how one could spend a whole year with {who} {where}, month by month.",
)
_WHO = (
    *("a lighthouse keeper", "two rival bakers", "an old sailor", "a clockmaker", "a young botanist"),
    *("a retired detective", "a glassblower", "a shy violinist", "a stubborn ferryman", "a mapmaker"),
    *("three lost tourists", "a night nurse", "a beekeeper", "an unlucky inventor", "a village teacher"),
    *("a mountain guide", "a railway signalman", "a careful thief", "a radio operator", "a tired king"),
)
_WHERE = (
    *("on a foggy island", "in a walled town", "at the edge of a desert", "beside a frozen river"),
    *("in a city of bridges", "on a slow night train", "under an old theatre", "in a harbour full of ships"),
    *("during a very long winter", "in the year after a flood", "on the last day of a fair"),
    *("in a valley without roads", "at a crossroads inn", "in an abandoned observatory"),
)
_NOTE = (
    "The {thing} was brought to {place} by cart, and {number} people came to see it, though the weather "
    "was poor and the road had been closed for {hour} days. "
)
_QUESTIONS = (
    "What is the capital of {place}?",
    "A train leaves {place} at {hour} o'clock at {number} km/h. How far has it gone after {hour} hours?",
    "Write a Python function that returns the {number} largest items of a list, with a docstring and tests.",
    "Is it true that {place} was founded before the year {number}? Answer yes or no, and say why.",
    "Translate into French: 'We will meet in {place} at {hour} in the evening, near the old {thing}.'",
    "Which of these is a {thing}? A) granite B) oak C) copper D) wool. Answer with one letter.",
    "Summarise the following note in one sentence. " + _NOTE * 4,
    "Extract the date, the place and the price: 'Sold in {place} on {hour} May, one {thing}, {number} EUR'.",
    "Give me a {hour}-day plan for a trip to {place} with two children who like anything like a {thing}.",
    "If {number} workers build a {thing} in {hour} days, how long do twice as many take? Think step by step.",
    "Classify the question by what it asks for: 'Who designed the {thing} in {place}?'",
    "hi! can u help me pick a name for my {thing} shop in {place}",
)
_PLACES = ("Lisbon", "Oslo", "Nairobi", "Quito", "Hanoi", "Perth", "Tunis", "Riga", "Lima", "Kyoto", "Cork")
_THINGS = ("bridge", "violin", "lantern", "kettle", "compass", "statue", "ladder", "teapot", "loom", "anchor")


def long_prompts(count: int, seed: int) -> tuple[str, ...]:
    """`count` different texts of much the same length, each asking for more than will be read.

    :raises ValueError: when more are asked for than there are.
    """
    every = list(itertools.product(_FORMS, _WHO, _WHERE))
    chosen = random.Random(seed).sample(every, count)  # noqa: S311 - prompts, not secrets
    return tuple(form.format(who=who, where=where) for form, who, where in chosen)


def varied_prompts(count: int, seed: int = 0) -> tuple[str, ...]:
    """`count` texts of many kinds and lengths, as a router meets them."""
    draw = random.Random(seed)  # noqa: S311 - prompts, not secrets
    forms = itertools.islice(itertools.cycle(_QUESTIONS), count)
    return tuple(
        form.format(
            place=draw.choice(_PLACES),
            thing=draw.choice(_THINGS),
            number=draw.randrange(2, 2000),
            hour=draw.randrange(1, 13),
        )
        for form in forms
    )


def chat_of(prompt: str) -> Sequence[Message]:
    """The chat that every side is sent for a long prompt."""
    return (Message("system", SYSTEM), Message("user", prompt))
