"""Diverse mode: `n` different answers to one request, small models first, what is said twice dropped.

Two answers are the same where their words are, or where their embeddings are at least as alike as the wish
says. An answer that breaks the form which was asked for is counted and not kept. A model is asked for more as
long as a round brings something new, within its share of the samples that may be drawn; then the next larger
one is asked. Knows no wire, and asks through whoever hands it a way to ask.
"""

import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pinnace.errors import BackendError, DeadlineExceededError, RequestError
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.tool_calls import ToolCall
from pinnace.router.needs import why_struck_out
from pinnace.router.types import FloatArray
from pinnace.router.validity import is_valid

SIMILARITY = 0.9
"""Cosine from which two answers say the same, where the wish does not say."""
SAMPLES_PER_ANSWER = 4
"""Samples that may be drawn for each answer wished for, where the wish does not say."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`n` different answers out of at most `most` samples; alike from a cosine of `similarity` on."""

    n: int
    most: int
    similarity: float = SIMILARITY


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer that was drawn; `wire` is what is sent of it, unread here."""

    model: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    wire: Mapping[str, Any] = field(default_factory=dict[str, Any])


Ask = Callable[[str, int, int], Awaitable[Sequence[Sample]]]
"""From a model, how many answers, and the number of the round, to the answers."""
Embed = Callable[[Sequence[str]], Awaitable[FloatArray]]
"""From texts to their vectors, of shape (n, dim), rows L2-normalised."""


@dataclass(slots=True)
class Distinct:
    """The different answers so far. `drawn` counts samples, `valid` those of the form that was asked for.

    `repeated` had the words of a kept one, `alike` its meaning. `compares_meaning` says whether embeddings
    were compared at all.
    """

    wish: Wish
    request: Request
    compares_meaning: bool
    kept: list[Sample] = field(default_factory=list[Sample])
    drawn: int = 0
    valid: int = 0
    repeated: int = 0
    alike: int = 0
    _said: set[str] = field(default_factory=set[str])
    _vectors: list[FloatArray] = field(default_factory=list[FloatArray])

    def is_enough(self) -> bool:
        """Whether there are as many as were wished for."""
        return len(self.kept) >= self.wish.n

    def fresh(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those that are valid and say nothing word for word that was said before; all are counted."""
        found: list[Sample] = []
        self.drawn += len(samples)
        for sample in samples:
            if not (sample.text.strip() or sample.calls) or not is_valid(
                sample.text, sample.calls, self.request
            ):
                continue
            self.valid += 1
            words = said(sample)
            self.repeated += words in self._said
            if words not in self._said:
                self._said.add(words)
                found.append(sample)
        return found

    def keep(self, samples: Sequence[Sample], vectors: FloatArray | None) -> None:
        """Keep what means nothing that a kept one means; `vectors` (n, dim) are theirs, or None."""
        for at, sample in enumerate(samples):
            if vectors is not None:
                if any(float(vectors[at] @ kept) >= self.wish.similarity for kept in self._vectors):
                    self.alike += 1
                    continue
                self._vectors.append(np.asarray(vectors[at]))
            self.kept.append(sample)


async def diverse(
    wish: Wish, request: Request, models: Sequence[str], ask: Ask, embed: Embed | None = None
) -> Distinct:
    """Draw until there are enough different answers, or nothing more may be drawn.

    :param models: whom to ask, in that order.
    :param embed: without it, words alone are compared.
    :raises BackendError: when no model gave any answer, or the request's time was over before one did.
    :raises RequestError: when every model refused the request itself.
    """
    found, failure, number = Distinct(wish, request, embed is not None), None, 0
    for at, model in enumerate(models):
        share = -(-(wish.most - found.drawn) // (len(models) - at))
        until = found.drawn + share
        while not found.is_enough() and found.drawn < until:
            count = min(wish.n, until - found.drawn)
            before = len(found.kept)
            try:
                samples = await ask(model, count, number)
            except (BackendError, RequestError) as error:
                failure = error
                break
            number += 1
            await _take(found, samples, embed)
            if len(found.kept) == before:
                break
        if found.is_enough() or isinstance(failure, DeadlineExceededError):
            break
    if not found.kept and failure is not None:
        raise failure
    del found.kept[wish.n :]
    return found


async def _take(found: Distinct, samples: Sequence[Sample], embed: Embed | None) -> None:
    fresh = found.fresh(samples)
    if fresh:
        vectors = None if embed is None else await embed([sample.text or said(sample) for sample in fresh])
        found.keep(fresh, vectors)


def small_first(cards: Sequence[ModelCard], request: Request) -> tuple[str, ...]:
    """The models that can serve `request`, by what their tokens cost, the cheapest first."""
    capable = [card for card in cards if why_struck_out(card, request) is None]
    return tuple(
        card.name for card in sorted(capable, key=lambda card: (card.output_price, card.input_price))
    )


def said(sample: Sample) -> str:
    """What an answer says, in a form to compare word for word: case, punctuation and blanks are left out.

    Of tool calls, the functions and their arguments as values.
    """
    if sample.calls:
        return json.dumps([[call.name, _value(call.arguments)] for call in sample.calls], sort_keys=True)
    text = unicodedata.normalize("NFKC", sample.text).casefold()
    return " ".join(re.findall(r"\w+", text)) or text.strip()


def _value(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
